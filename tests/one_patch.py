"""A classifier whose answer rests on one patch, and maps that know it or do not."""

import numpy as np
from PIL import Image

from xaiaug import Classifier, Explanation

SIDE, CELLS, LIT = 64, 8, (2, 5)
CELL = SIDE // CELLS


class OnePatch(Classifier):
    """The probability of class 1 is the share of white pixels in one patch; it looks at nothing else."""

    labels = ("dark", "lit")
    batch_size = 7

    def __init__(self, row: int = LIT[0], column: int = LIT[1]) -> None:
        self.row = row
        self.column = column

    def predict_proba(self, images):
        rows, columns = (slice(CELL * at, CELL * (at + 1)) for at in (self.row, self.column))
        lit = np.array([(np.asarray(image)[rows, columns] > 250).mean() for image in images], np.float32)
        return np.stack([1 - lit, lit], axis=1)

    def fit(self, train, validation, *, recipe, seed):
        raise NotImplementedError

    def save(self, folder):
        raise NotImplementedError

    @classmethod
    def load(cls, folder):
        raise NotImplementedError

    def fork(self):
        return OnePatch(self.row, self.column)


def picture(seed: int = 0) -> Image.Image:
    """Noise, white in the patch."""
    pixels = np.random.default_rng(seed).integers(0, 160, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[on_patch()] = 255
    return Image.fromarray(pixels)


def on_patch() -> np.ndarray:
    """h w: where the patch is."""
    return spread(one_hot()) == 1


def one_hot() -> np.ndarray:
    grid = np.zeros((CELLS, CELLS), np.float32)
    grid[LIT] = 1
    return grid


def spread(grid: np.ndarray) -> np.ndarray:
    """A grid over the picture, without interpolation."""
    return np.kron(grid, np.ones((SIDE // grid.shape[0], SIDE // grid.shape[1]), np.float32))


def explained(grid: np.ndarray, target: int = 1) -> Explanation:
    return Explanation(spread(grid), "told", target, False, grid)
