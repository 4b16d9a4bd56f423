"""How the output of a layer lies on the image: as a map, a map with the channels last, or tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The way between a layer's output and a map b c h w.

    Attributes:
        kind: "map" for b c h w, "channels-last" for b h w c, "tokens" for b n c.
        grid: rows and columns.
        prefix: tokens before those of the patches.
    """

    kind: str
    grid: tuple[int, int]
    prefix: int = 0

    def to_map(self, output: Tensor) -> Tensor:
        """The output as a map: b c h w, without the prefix."""
        if self.kind == "map":
            return output
        if self.kind == "channels-last":
            return output.permute(0, 3, 1, 2)
        return output[:, self.prefix :].transpose(1, 2).reshape(len(output), -1, *self.grid)

    def to_output(self, found: Tensor, output: Tensor) -> Tensor:
        """The map in the place it has in the layer's output, whose prefix is kept."""
        if self.kind == "map":
            return found
        if self.kind == "channels-last":
            return found.permute(0, 2, 3, 1)
        return torch.cat([output[:, : self.prefix], found.flatten(2).transpose(1, 2)], 1)


def layout_of(shape: torch.Size, pixels: torch.Size, convolved: Iterable[tuple[int, int]]) -> Layout | None:
    """The layout of an output of that shape; None where it has no two cells in each direction.

    Args:
        shape: b c h w, b h w c or b n c; anything else has no layout.
        pixels: n c h w, the shape of the images.
        convolved: heights and widths of the maps that convolutions gave before.
    """
    height, width = pixels[-2:]
    if 0 in shape:
        return None
    if len(shape) == 4:
        first, last = _stretch(shape[2:], height, width), _stretch(shape[1:3], height, width)
        kind, grid = ("channels-last", shape[1:3]) if last < first else ("map", shape[2:])
        return Layout(kind, (grid[0], grid[1])) if min(grid) > 1 else None
    if len(shape) == 3 and min(shape[1:]) > 1:
        return _tokens(shape[1], list(convolved) or [(height, width)])
    return None


def _stretch(grid: Iterable[int], height: int, width: int) -> float:
    """How far the proportions of a grid are from those of the image."""
    rows, columns = grid
    return abs(math.log(rows / columns * width / height))


def _tokens(count: int, sizes: Iterable[tuple[int, int]]) -> Layout | None:
    """The layout of `count` tokens as one of the maps, shrunk evenly, that leaves the fewest of them as prefix."""
    found = []
    for height, width in sizes:
        grids = ((math.ceil(height / step), math.ceil(width / step)) for step in range(1, max(height, width) + 1))
        rows, columns = next(grid for grid in grids if grid[0] * grid[1] <= count)
        found.append((count - rows * columns, rows, columns))
    prefix, rows, columns = min(found)
    return Layout("tokens", (rows, columns), prefix) if min(rows, columns) > 1 and prefix < rows * columns else None
