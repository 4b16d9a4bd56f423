"""A report as a finished run would write it, with pictures drawn here; every part can be replaced."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from xaiaug.report.schema_arms import ArmResult, ClassScore, Curves, GroupScore, LeftOut, Scores, SeedResult
from xaiaug.report.schema_cases import (
    CaseRow,
    CritiqueRow,
    ImageRow,
    Images,
    Mistakes,
    PairCount,
    SourceRow,
    StageFailure,
)
from xaiaug.report.schema_causes import EditedImageRow, StatedCauseRow, TestedCauseRow
from xaiaug.report.schema_maps import MapsRow, MeasureRow
from xaiaug.report.schema_report import Contrast, Data, Note, Plugins, PluginUse, Report, Run, Verdict
from xaiaug.report.schema_slices import SliceImageRow, SliceRow, SlicesRow

ARMS = {
    "baseline": (0.78, "the classifier before more training"),
    "continued": (0.80, "more training on the same real images"),
    "generated-only": (0.83, "the new images by themselves"),
    "generated+training": (0.91, "the new images beside the real ones"),
}


SPLITS = {"train": 500, "guide": 100, "validation": 80, "test": 200}


def blob(name: str) -> bytes:
    """The bytes of any blob the example names."""
    return heatmap(name) if name.startswith("heatmap") else png(name)


def heatmap(name: str, side: int = 96) -> bytes:
    """A round hot spot, the first rows unseen by the model, in numpy's format."""
    y, x = np.mgrid[0:side, 0:side] / side
    values = np.exp(-20 * ((x - 0.5) ** 2 + (y - len(name) / 20) ** 2)).astype(np.float32)
    values[: side // 12] = np.nan
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def png(name: str, side: int = 96) -> bytes:
    """The picture of a blob: a round animal, coloured by the blob's name; panels are twice as wide."""
    tone = sum(map(ord, name)) * 37
    wide = 2 if name.startswith("panel") else 1
    image = Image.new("RGB", (side * wide, side), f"hsl({tone % 360}, 25%, 70%)")
    draw = ImageDraw.Draw(image)
    for turn in range(wide):
        left = turn * side
        draw.ellipse((left + side * 0.2, side * 0.3, left + side * 0.8, side * 0.9), f"hsl({tone % 97}, 35%, 40%)")
        draw.ellipse((left + side * 0.35, side * 0.12, left + side * 0.65, side * 0.45), f"hsl({tone % 97}, 35%, 50%)")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def raw_png(pixels: bytes, side: int) -> bytes:
    """A square picture of the given RGB bytes."""
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), pixels).save(out, "PNG")
    return out.getvalue()


def interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval."""
    z = 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return centre - half, centre + half


def scores(accuracy: float, labels: tuple[str, ...] = ("cat", "dog"), each: int = 200) -> Scores:
    """Scores of a classifier that gets that share of every class right and takes the rest for the next class."""
    k, right = len(labels), round(accuracy * each)
    confusion = [[0] * k for _ in labels]
    for true in range(k):
        confusion[true][true] += right
        confusion[true][(true + 1) % k] += each - right
    share = right / each
    return Scores(
        n=k * each,
        accuracy=share,
        balanced_accuracy=share,
        precision=share,
        recall=share,
        f1=share,
        log_loss=0.3,
        classes=tuple(
            ClassScore(name=label, precision=share, recall=share, f1=share, support=each) for label in labels
        ),
        confusion=tuple(map(tuple, confusion)),
        accuracy_interval=interval(share, k * each),
        groups=(GroupScore(attribute="backdrop", value="usual", n=k * each, accuracy=share),),
    )


def history(reached: float, points: int = 16, steps: int = 300) -> Curves:
    """Curves that approach what was reached."""
    at = [steps * (point + 1) // points for point in range(points)]
    way = [1 - math.exp(-4 * step / steps) for step in at]
    return Curves(
        steps=tuple(at),
        train_loss=tuple(0.7 - 0.62 * share for share in way),
        train_accuracy=tuple(0.5 + 0.49 * share for share in way),
        validation_loss=tuple(0.72 - (reached - 0.4) * share for share in way),
        validation_accuracy=tuple(0.5 + (reached - 0.5) * share for share in way),
    )


def arms(seeds: int = 1, labels: tuple[str, ...] = ("cat", "dog")) -> tuple[ArmResult, ...]:
    """The basic arms."""
    return tuple(
        ArmResult(
            name=name,
            isolates=isolates,
            trained=name != "baseline",
            steps=0 if name == "baseline" else 300,
            batch_size=0 if name == "baseline" else 16,
            learning_rate=None if name == "baseline" else 3e-4,
            image_passes=0 if name == "baseline" else 4800,
            real=0 if name in ("baseline", "generated-only") else 1000,
            synthetic=dict.fromkeys(labels, 60) if name.startswith("generated") else {},
            seeds=tuple(
                SeedResult(
                    seed=seed,
                    metrics=scores(reached + 0.01 * seed, labels),
                    history=history(reached),
                    model=f"models/{name}/{seed}",
                )
                for seed in range(1 if name == "baseline" else seeds)
            ),
        )
        for name, (reached, isolates) in ARMS.items()
    )


def case(number: int = 0, asked: int = 5, **changed: Any) -> CaseRow:
    """A mistake with its critique and images: the last but one a duplicate, the last could not be made."""
    label, predicted = ("cat", "dog") if number % 3 else ("dog", "cat")
    return CaseRow(**{
        "id": f"{number:016x}",
        "label": label,
        "predicted": predicted,
        "probability": 0.93,
        "image": f"image-{number}",
        "panel": f"panel-{number}",
        "heatmap": f"heatmap-{number}",
        "method": "attention-rollout",
        "critique": CritiqueRow(
            cause=f"The backdrop is as green as in most training images of {predicted}s, and rare for a {label}.",
            prompt=f"a {label} with a brown coat on a meadow, morning light",
            attended="background",
            difficulty="the animal fills a tenth of the image",
            evidence=("62 % of the heat lies outside the animal", f"backdrop hue nearer to {predicted} (z = 3.1)"),
            confidence=0.7,
            guidance={"backdrop_colour": "#5f8f4a", "subject_colour": "#7a5230", "size": 0.35, "place": "left"},
        ),
        "images": tuple(image(number, index, asked) for index in range(asked)),
        **changed,
    })  # fmt: skip


def image(number: int, index: int, asked: int) -> ImageRow:
    """One new image of a case."""
    made, kept = index < asked - 1, index < asked - 2
    return ImageRow(
        index=index,
        seed=1000 * number + index,
        blob=f"synthetic-{number}-{index}" if made else None,
        kept=kept,
        check="" if kept else "duplicate" if made else "no-subject",
        reason="" if kept else "same pixels as image 0" if made else "no subject was found in the guide image",
        prompt="a cat with a brown coat on a meadow",
        dropped=("morning", "light"),
        arms=("generated-only", "generated+training") if kept else (),
        experiment_seed=0,
    )


def report(n: int = 9, seeds: int = 1, **changed: Any) -> Report:
    """The whole report of a run with that many mistakes."""
    return Report(**{
        "run": Run(
            name="demo",
            started="2026-03-01T09:30:00Z",
            finished="2026-03-01T09:31:32Z",
            duration_s=92.4,
            hardware={"device": "cpu", "cores": 2},
            versions={"python": "3.11.9", "xaiaug": "0.1.0", "torch": "2.13.0"},
        ),
        "settings": {"data": {"folder": "photos", "guide": 0.15}, "experiment": {"arms": "basic", "seeds": [0]}},
        "data": Data(
            labels=("cat", "dog"),
            counts={split: {"cat": size, "dog": size} for split, size in SPLITS.items()},
            drawn=True,
            fingerprint="9f1c2d3e4a5b6c7d",
        ),
        "plugins": Plugins(
            classifier=PluginUse(name="transformers", parameters={"checkpoint": "petworld"}),
            explainer=PluginUse(name="attention-rollout", parameters={"discard": 0.9}),
            critic=PluginUse(name="measured"),
            synthesizer=PluginUse(name="petworld", parameters={"prior": "biased"}),
        ),
        "notes": (Note(kind="warning", text="The guide split is small: more images would show more mistakes."),),
        "arms": arms(seeds),
        "left_out": (LeftOut(name="lora", reason="the classifier cannot train adapters"),),
        "mistakes": Mistakes(found=n, guide_size=200, chosen=n, by_pair=_pairs(n)),
        "maps": maps(),
        "cases": tuple(case(number) for number in range(n)),
        "images": Images(
            asked=5 * n,
            made=4 * n,
            failed=n,
            kept=3 * n,
            rejected={"duplicate": n},
            used={"cat": n, "dog": n},
            sources=(SourceRow(arms=("generated-only", "generated+training")),),
        ),
        **changed,
    })  # fmt: skip


def verdict(sentence: str = "The new images helped.") -> Verdict:
    """A verdict with one contrast."""
    contrast = Contrast(
        arm="generated+training", against="continued", estimate=0.11, low=0.08, high=0.14, p=0.0004, primary=True
    )
    return Verdict(sentence=sentence, outcome="better", contrasts=(contrast,))


def maps(outcome: str = "better", **changed: Any) -> MapsRow:
    """How faithful the heatmaps are."""
    return MapsRow(**{
        "method": "attention-rollout",
        "images": 24,
        "outcome": outcome,
        "sentence": f"On 24 images the maps of attention-rollout do {outcome} than random maps.",
        "gain": 0.07,
        "low": 0.02,
        "high": 0.12,
        "measures": (
            MeasureRow(name="deletion", mean=0.41, random=0.52, gain=0.11, low=0.05, high=0.17),
            MeasureRow(name="insertion", mean=0.62, random=0.59, gain=0.03, low=-0.02, high=0.08),
        ),
        "entropy": 0.93,
        "top_share": 0.08,
        "border_share": 0.41,
        **changed,
    })  # fmt: skip


def slices(cases: Sequence[CaseRow]) -> SlicesRow:
    """Two slices of the mistakes, and one that does not hold."""
    ids = tuple(case.id for case in cases)

    def one(name: str, **changed: Any) -> SliceRow:
        fields = {"size": 14, "mistakes": 12, "accuracy": 2 / 14, "low": 0.04, "high": 0.4, "rest": 0.91, "p": 2e-9}
        classes = {"label": "dog", "predicted": "cat", "cases": ids, "examples": ids[:6], "contrast": ("right-1",)}
        return SliceRow(name=name, **{"kind": "mark", **fields, **classes, **changed})

    return SlicesRow(
        slices=(
            one("dog predicted as cat: without the yellow spot in a corner that 97 % of the correct images have"),
            one("any class: dark", label=None, predicted=None, kind="light", p=0.01),
        ),
        unconfirmed=(one("dog predicted as cat: with a small subject", rest=None, p=1.0),),
        contrast=(SliceImageRow(id="right-1", image="guide-right-1"),),
        images=300,
        mistakes=len(ids),
    )


def cause(outcome: str, cases: Sequence[str]) -> TestedCauseRow:
    """A tested cause of some mistakes, with the first of them before and after."""
    edited = EditedImageRow(
        id=cases[0], before="edit-before", after="edit-after", elsewhere="edit-elsewhere", right=(False, True, False)
    )
    return TestedCauseRow(
        cause=StatedCauseRow(kind="backdrop", colour="#5f8f4a"),
        label="dog",
        predicted="cat",
        outcome=outcome,
        sentence="The backdrop: without it the classifier is right on 5 of 9 mistakes, with another edit on 1.",
        cases=tuple(cases),
        mistakes=(edited,),
        effect=0.3,
        low=0.2,
        high=0.4,
        p=0.001,
    )


def failure(stage: str = "critique", message: str = "the model declined to answer") -> StageFailure:
    """A stage that has nothing to show."""
    return StageFailure(stage=stage, kind="refusal", message=message)


def _pairs(cases: int) -> tuple[PairCount, ...]:
    dogs = -(-cases // 3)
    pairs = (
        PairCount(label="dog", predicted="cat", count=dogs),
        PairCount(label="cat", predicted="dog", count=cases - dogs),
    )
    return tuple(pair for pair in pairs if pair.count)
