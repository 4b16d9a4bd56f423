"""Resolves a device name."""

from __future__ import annotations

import torch


def resolve_device(name: str) -> torch.device:
    """The device of that name in torch; "auto" is CUDA where there is one, else Apple's MPS, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
