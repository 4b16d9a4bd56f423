"""Tiny diffusion pipelines, built once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_pipelines
import torch


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a pipeline of `tiny_pipelines` by name, or gives the folder where it was built before."""
    root = tmp_path_factory.mktemp("pipelines")
    known: dict[str, Path] = {}

    def build(name: str, *, real: bool = False, **options: object) -> Path:
        key = "-".join([name, *(["real"] if real else []), *map(str, options.values())])
        if real and not tiny_pipelines.VOCABULARY.is_file():
            pytest.skip("shared/data/clip-bpe is not present")
        if key not in known:
            from xaiaug.plugins.synthesizers._pipelines import silenced

            with torch.random.fork_rng(), silenced():
                known[key] = getattr(tiny_pipelines, name)(root / key, **options, **({"real": True} if real else {}))
        return known[key]

    return build
