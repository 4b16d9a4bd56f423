"""The product of attention maps over all layers, as far as one row of it is needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def rollout(maps: Sequence[Tensor], readout: Tensor, discard_ratio: float = 0.0, sums_to_one: bool = False) -> Tensor:
    """One row of the attention rollout (arXiv:2005.00928): b n, float32; each sums to one.

    With Â the rows of A + I, each divided by its sum, it is `readout` Â_L … Â_1: a row times a matrix from the last
    layer to the first, which costs n times less than the product of the matrices, and is the same row of it.

    Args:
        maps: for each layer, from the first to the last: b n n, not negative.
        readout: n, where to start, or b n, an own start for each image; sums to one.
        discard_ratio: share of each map's smallest values that is set to zero first.
        sums_to_one: whether the rows of all maps do; they are then read once, not twice.
    """
    with torch.autocast(maps[0].device.type, enabled=False):
        row = readout.float().expand(len(maps[0]), -1).unsqueeze(1)
        for attention in reversed(maps):
            kept = _without_smallest(attention.float(), discard_ratio)
            scaled = row / (2 if sums_to_one and not discard_ratio else kept.sum(-1).unsqueeze(1) + 1)
            row = scaled + scaled @ kept
        return row.squeeze(1)


def _without_smallest(attention: Tensor, share: float) -> Tensor:
    flat = attention.flatten(1)
    count = int(share * flat.shape[1])
    if not count:
        return attention
    smallest = flat.topk(count, largest=False).indices
    return flat.scatter(1, smallest, 0.0).view_as(attention)
