"""Which device a plugin computes on."""

from __future__ import annotations

import torch


def torch_device(wish: str) -> torch.device:
    """The device for a wish in torch's words; "auto" takes CUDA, then Apple's MPS, then the CPU."""
    if wish != "auto":
        return torch.device(wish)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
