"""Tiny models, images and a browser that several tests share."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_pipelines
from critic_cases import CANARY
from hypothesis import settings
from PIL import Image

from xaiaug.records import Sample

atexit.register(gc.freeze)  # else the last collection walks over all of torch and transformers
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before its client is imported
LABELS = ("cat", "dog")
# No test measures time: on a busy machine a deadline would.
settings.register_profile("usual", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=400)  # --hypothesis-profile=thorough
settings.load_profile("usual")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """No garbage is collected while test modules are imported: it would take a quarter of that time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder for these tests alone, so that they leave the user's as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a ViT of 8 thousand parameters with a random head for cat and dog: 32 pixels, 16 patches."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    folder = tmp_path_factory.mktemp("tiny-vit")
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        initializer_range=0.2,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def painted() -> Callable[..., list[Sample]]:
    """Makes noisy samples whose colour is their class: label 0 is red, 1 is blue, 2 is green."""

    def paint(count: int, seed: int = 0, size: tuple[int, int] = (40, 32), classes: int = 2) -> list[Sample]:
        generator = np.random.default_rng(seed)
        found = []
        for index in range(count):
            label = index % classes
            pixels = generator.integers(0, 120, (size[1], size[0], 3))
            pixels[..., (0, 2, 1)[label]] += 120
            image = Image.fromarray(pixels.astype(np.uint8))
            found.append(Sample(id=f"{seed}-{index}", label=label, opener=image.copy))
        return found

    return paint


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds a pipeline of `tiny_families` by name, or gives the folder where it was built before."""
    root = tmp_path_factory.mktemp("families")

    def build(name: str) -> Path:
        if not (root / name).is_dir():
            import tiny_families
            import torch

            from xaiaug.plugins.synthesizers._pipelines import silence_diffusers

            with torch.random.fork_rng(), silence_diffusers():
                tiny_families.build(name, root / name)
        return root / name

    return build


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
            import torch

            from xaiaug.plugins.synthesizers._pipelines import silence_diffusers

            with torch.random.fork_rng(), silence_diffusers():
                known[key] = getattr(tiny_pipelines, name)(root / key, **options, **({"real": True} if real else {}))
        return known[key]

    return build


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page of 1280 pixels; at the end it must have reported no error."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    opened, wrong = context.new_page(), []
    opened.set_default_timeout(20_000)
    opened.on("console", lambda message: wrong.append(message.text) if _is_wrong(message) else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


def _is_wrong(message: Any) -> bool:
    refused = "status of 409" in message.text  # the server said what it could not keep
    return message.type == "error" and not refused


@pytest.fixture
def at(monkeypatch):
    """Points the SDKs of services at a loopback server, with a key that must show up nowhere."""

    def point(server):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            monkeypatch.setenv(name, CANARY)

    return point
