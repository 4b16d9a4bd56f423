"""Turns a layer's output into a map of the image, and checks by planted noise that its cells lie where the map says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SIDE = 4  # rows and columns of planted blocks
_SHARE = 0.75  # of the blocks that must be answered where they lie
_CONTRADICTED = 0.25  # of the best answer of all tokens: one at the block's place that is weaker tells of another order
_CORRELATION = 0.5  # at least, between where blocks lie and where they are answered
_Cells = NDArray[np.float32]  # m h w: of each copy of an image
# By kind of layout.
Answers = Mapping[str, Tensor]
_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


@dataclass(frozen=True)
class Layout:
    """How to turn a layer's output into a map b c h w and back.

    Attributes:
        kind: "map" for b c h w, "channels-last" for b h w c, "tokens" for b n c.
        grid: rows and columns.
        prefix: tokens before those of the patches.
        mirrored: sides of the map, -2 and -1, along which the layer saw the image mirrored.
    """

    kind: str
    grid: tuple[int, int]
    prefix: int = 0
    mirrored: tuple[int, ...] = ()

    def to_map(self, output: Tensor) -> Tensor:
        """The output as a map that lies as the image does: b c h w, without the prefix."""
        if self.kind == "map":
            feature_map = output
        elif self.kind == "channels-last":
            feature_map = output.permute(0, 3, 1, 2)
        else:
            feature_map = output[:, self.prefix :].transpose(1, 2).reshape(len(output), -1, *self.grid)
        return feature_map.flip(self.mirrored) if self.mirrored else feature_map

    def to_output(self, feature_map: Tensor, output: Tensor) -> Tensor:
        """The map in the shape of the layer's output, whose prefix is kept."""
        feature_map = feature_map.flip(self.mirrored) if self.mirrored else feature_map
        if self.kind == "map":
            return feature_map
        if self.kind == "channels-last":
            return feature_map.permute(0, 2, 3, 1)
        return torch.cat([output[:, : self.prefix], feature_map.flatten(2).transpose(1, 2)], 1)


def infer_layout(shape: torch.Size, pixels: torch.Size, convolved: Iterable[tuple[int, int]]) -> Layout | None:
    """The likely layout of an output of that shape; None where it does not have two cells in each direction.

    Args:
        shape: b c h w, b h w c or b n c; anything else has no layout.
        pixels: n c h w, the shape of the images.
        convolved: heights and widths of the maps of earlier convolutions.
    """
    height, width = pixels[-2:]
    if 0 in shape:
        return None
    if len(shape) == 4:
        first, last = _compare_aspect(shape[2:], height, width), _compare_aspect(shape[1:3], height, width)
        kind, grid = ("channels-last", shape[1:3]) if last < first else ("map", shape[2:])
        return Layout(kind, (grid[0], grid[1])) if min(grid) > 1 else None
    if len(shape) == 3 and min(shape[1:]) > 1:
        return _infer_token_layout(shape[1], list(convolved) or [(height, width)])
    return None


def _compare_aspect(grid: Iterable[int], height: int, width: int) -> float:
    """How far the aspect ratio of a grid is from that of the image, as a logarithm."""
    rows, columns = grid
    return abs(math.log(rows / columns * width / height))


def _infer_token_layout(count: int, sizes: Iterable[tuple[int, int]]) -> Layout | None:
    """The layout of `count` tokens as one of the maps, shrunk evenly, that leaves the fewest of them as prefix."""
    candidates = []
    for height, width in sizes:
        grids = ((math.ceil(height / step), math.ceil(width / step)) for step in range(1, max(height, width) + 1))
        rows, columns = next(grid for grid in grids if grid[0] * grid[1] <= count)
        candidates.append((count - rows * columns, rows, columns))
    prefix, rows, columns = min(candidates)
    return Layout("tokens", (rows, columns), prefix) if min(rows, columns) > 1 and prefix < rows * columns else None


@dataclass(frozen=True)
class PlantedBlocks:
    """Blocks of noise, one in each copy of an image, spread over it.

    Attributes:
        size: height and width of the image.
        boxes: y0 x0 y1 x1 of each block, in pixels.
    """

    size: tuple[int, int]
    boxes: tuple[tuple[int, int, int, int], ...]

    def plant(self, image: Tensor) -> Tensor:
        """The image, and a copy with each of the blocks: c h w -> m c h w."""
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(2)).to(image)
        noise *= image.std().clamp(min=1e-3) if image.std() > 0 else 1
        images = image.repeat(1 + len(self.boxes), 1, 1, 1)
        for copy, (y0, x0, y1, x1) in zip(images[1:], self.boxes, strict=True):
            copy[:, y0:y1, x0:x1] += noise[:, y0:y1, x0:x1]
        return images


def spread_blocks(height: int, width: int) -> PlantedBlocks:
    """Blocks of a fortieth of the image's sides, smaller than most cells, at a random place in each of an even grid."""
    places = torch.rand((_SIDE * _SIDE, 2), generator=torch.Generator().manual_seed(4)).tolist()
    tall, wide = max(1, height // 40), max(1, width // 40)
    boxes = []
    for index, (down, across) in enumerate(places):
        row, column = divmod(index, _SIDE)
        y0, x0 = int((row + down) * (height - tall) / _SIDE), int((column + across) * (width - wide) / _SIDE)
        boxes.append((y0, x0, y0 + tall, x0 + wide))
    return PlantedBlocks((height, width), tuple(boxes))


def measure_answers(output: Tensor) -> Answers:
    """How much the cells of each copy differ from those of the image, the first: m ... -> m-1 ..., by kind of layout.

    In place of the channels there is their mean.
    """
    difference = (output[1:] - output[:1]).detach().float().abs()
    if difference.ndim == 3:
        return {"tokens": difference.mean(2, keepdim=True)}
    return {"map": difference.mean(1, keepdim=True), "channels-last": difference.mean(3, keepdim=True)}


def join_answers(parts: Sequence[Answers]) -> Answers:
    """The answers to all blocks, from those to some."""
    return {kind: torch.cat([part[kind] for part in parts]) for kind in parts[0]}


def confirm_layout(
    layout: Layout, answers: Answers, blocks: PlantedBlocks, convolved: Tensor | None = None
) -> Layout | None:
    """The layout whose cells answer the blocks that lie on them, mirrored or not; None where none clearly does.

    Args:
        layout: the likely one.
        answers: of the layer's output, to the blocks.
        blocks: the blocks that were planted.
        convolved: m h w, the answers of a map of convolutions with the same grid, if any: overlapping convolutions may
            answer a block most in the cell beside it.
    """
    candidates = [replace(layout, kind=kind) for kind in sorted(answers, key=lambda kind: kind != layout.kind)]
    right = None if convolved is None else convolved.float().cpu().numpy()
    # In numpy: under an explainer's guard of norms every call of torch costs several times what it computes.
    with np.errstate(all="ignore"):
        for candidate in (replace(one, mirrored=mirrored) for one in candidates for mirrored in _MIRRORS):
            cells = candidate.to_map(answers[candidate.kind])[:, 0].float().cpu().numpy()
            if min(cells.shape[1:]) > 1 and _is_at(cells, blocks, int(candidate.kind != "tokens"), right):
                return replace(candidate, grid=(cells.shape[1], cells.shape[2]))
    return None


def _is_at(answers: _Cells, blocks: PlantedBlocks, tolerance: int, convolved: _Cells | None) -> bool:
    """Whether most blocks are answered most by cells at their place, and all in the order of their places.

    Args:
        answers: m h w, how much each cell answers each block.
        blocks: where they lie.
        tolerance: how many cells off an answer may be: convolutions see more than their own cell.
        convolved: m h w, answers that are right as well.
    """
    scores = _score(answers)
    heard = np.flatnonzero(np.isfinite(scores).all(axis=(1, 2)) & (scores.max(axis=(1, 2)) > 0))
    if 2 * len(heard) < len(scores):
        return False
    scores, boxes = scores[heard], [blocks.boxes[index] for index in heard]
    return (
        _follows(scores.sum(axis=2), [(y0, y1) for y0, _, y1, _ in boxes])
        and _follows(scores.sum(axis=1), [(x0, x1) for _, x0, _, x1 in boxes])
        and _hits(scores, boxes, blocks.size, tolerance, None if convolved is None else _score(convolved)[heard])
    )


def _score(answers: _Cells) -> _Cells:
    """Answers less what is usual: a cell that answers all blocks tells nothing, nor one that hardly answers at all."""
    usual = answers.mean(axis=0)
    scores: _Cells = answers**2 / (usual + 1e-3 * usual.max() + np.finfo(answers.dtype).tiny)
    return scores


def _follows(scores: _Cells, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether the centres of the answers along one side, m cells, follow those of the blocks."""
    centres = scores @ np.arange(scores.shape[1]) / scores.sum(axis=1)
    places = [sum(span) / 2 for span in spans]
    return bool(np.corrcoef(centres, places)[0, 1] > _CORRELATION)


def _hits(
    scores: _Cells,
    boxes: Sequence[tuple[int, int, int, int]],
    size: tuple[int, int],
    tolerance: int,
    convolved: _Cells | None,
) -> bool:
    """Whether most blocks are answered most by a cell that they lie on, and none clearly by another."""
    rows, columns = scores.shape[1:]
    hits = 0
    for index, (score, (y0, x0, y1, x1)) in enumerate(zip(scores, boxes, strict=True)):
        down, across = _cover(rows, y0, y1, size[0], tolerance), _cover(columns, x0, x1, size[1], tolerance)
        best = score[down, across].max()
        if convolved is not None:
            best = max(best, score.flat[convolved[index].argmax()])
        ratio = float(best / score.max())
        if ratio < _CONTRADICTED and not tolerance:
            return False
        hits += ratio == 1
    return hits >= _SHARE * len(boxes)


def _cover(cells: int, start: int, end: int, size: int, tolerance: int) -> slice:
    """The cells that a block from `start` to `end` lies on, or near."""
    # Where cells do not divide the image evenly, a remainder of up to one cell may not be seen.
    longest, shortest = size / cells, size / cells if size % cells == 0 else size / (cells + 1)
    first, last = min(int(start / longest), cells - 1), min(int((end - 1) / shortest), cells - 1)
    return slice(max(first - tolerance, 0), last + tolerance + 1)
