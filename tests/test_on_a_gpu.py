"""What a GPU computes is what the processor computes; needs a GPU (`pytest -m gpu`)."""

import numpy as np
import pytest
import torch
from fakes import ColourCritic, Painter
from families import LABELS, TRANSFORMERS, noise, pixels_of, transformer

from xaiaug import Context, FeedbackLoop, Recipe, Splits, load
from xaiaug.plugins.classifiers.torch_module import TorchClassifier
from xaiaug.plugins.classifiers.transformers import TransformersClassifier

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use"),
]
EXPLAINERS = ("attention-last", "attention-rollout", "attention-relevance", "integrated-gradients", "grad-cam", "auto")


def on(device, tiny_vit):
    classifier = TransformersClassifier(str(tiny_vit))
    classifier.prepare(Context(labels=("cat", "dog"), device=device))
    return classifier


@pytest.fixture
def pictures(painted):
    return [sample.open() for sample in painted(12, size=(48, 32))]


def test_probabilities_and_features_are_those_of_the_processor(tiny_vit, pictures):
    gpu, cpu = (on(device, tiny_vit) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(gpu.predict_proba(pictures), cpu.predict_proba(pictures), atol=2e-3)
    assert np.abs(gpu.embed(pictures) - cpu.embed(pictures)).max() < 2e-2 * np.abs(cpu.embed(pictures)).max()


@pytest.mark.parametrize("name", EXPLAINERS)
def test_heatmaps_are_those_of_the_processor(name, tiny_vit, pictures):
    made = []
    for device in ("cuda", "cpu"):
        classifier, explainer = on(device, tiny_vit), load("explainer", name)
        explainer.prepare(Context(labels=("cat", "dog"), device=device))
        made.append(explainer.explain(classifier, pictures, [0] * len(pictures)))
    for gpu, cpu in zip(*made, strict=True):
        scale = max(float(np.nanmax(np.abs(cpu.heatmap))), 1e-6)
        np.testing.assert_allclose(gpu.heatmap / scale, cpu.heatmap / scale, atol=0.03)
        assert (gpu.method, gpu.degenerate) == (cpu.method, cpu.degenerate)


@pytest.mark.parametrize("name", [name for name in TRANSFORMERS if name not in ("dinov3", "siglip-pooled")])
def test_every_family_predicts_alike(name):
    pictures = [noise(32, 32, seed) for seed in range(4)]
    answers = []
    for device in ("cuda", "cpu"):
        classifier = TorchClassifier(transformer(name).eval(), pixels_of, LABELS)
        classifier.prepare(Context(device=device))
        answers.append(classifier.predict_proba(pictures))
    np.testing.assert_allclose(*answers, atol=5e-3)


def test_a_run_that_began_on_a_gpu_is_finished_on_the_processor(tiny_vit, tmp_path, painted, monkeypatch):
    splits = Splits(
        labels=("cat", "dog"),
        **{name: tuple(painted(16, seed)) for seed, name in enumerate(("train", "guide", "validation", "test"))},
    )

    def run(until=None):
        loop = FeedbackLoop(
            "transformers",
            "attention-relevance",
            ColourCritic(),
            Painter(),
            arms=["continued", "generated+training"],
            recipe=Recipe(steps=2, batch_size=4),
            settings={"classifier": {"checkpoint": str(tiny_vit)}, "mistakes": {"faithfulness": 0}},
        )
        return loop.run(splits, tmp_path / "run", **({"until": until} if until else {}))

    run("explain")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = run()
    assert {arm.name for arm in result.report.arms} >= {"baseline", "continued"}
