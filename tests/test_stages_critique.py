"""The panels of a run share one scale of colours where that is asked for."""

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, paint_folder
from PIL import Image

from xaiaug import Explainer, Explanation, FeedbackLoop, Recipe, Splits
from xaiaug.panel.colormap import colour_table


class Brightness(Explainer):
    """A ramp as steep as the image is bright: maps of very different ranges."""

    def explain(self, classifier, images, targets):
        ramps = [
            np.tile(np.linspace(0, np.asarray(image).mean() ** 3, image.width, dtype=np.float32), (image.height, 1))
            for image in images
        ]
        return [Explanation(ramp, "ramp", target, False) for ramp, target in zip(ramps, targets, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 20, "guide": 40})


class Halfway(ColourCritic):
    """Looks at every second panel."""

    def critique(self, cases):
        return [self._one(case) for number, case in enumerate(cases) if number % 2 or case.panel.width]


def panels(folder, run_dir, **tables):
    loop = FeedbackLoop(
        NearestColour(),
        Brightness(),
        ColourCritic(),
        Painter(),
        recipe=Recipe(steps=4, batch_size=8),
        settings={"mistakes": {"faithfulness": 0}, **tables},
    )
    result = loop.run(Splits.from_folder(folder, validation=0.0, test=0.0), run_dir, until="critique")
    found = []
    for case in result.mistakes:
        with Image.open(run_dir / "blobs" / case.panel[:2] / case.panel) as image:
            found.append(np.asarray(image.convert("RGB")).astype(int)[40:260, 264:506])
    return result, found


def hottest(pixels):
    """The place in the colour table of the hottest pixel of a panel."""
    distance = np.abs(colour_table().astype(int) - pixels.reshape(-1, 1, 3)[::7]).sum(axis=2)
    return int(distance.argmin(axis=1)[distance.min(axis=1) < 12].max())


def test_each_map_has_its_own_scale_or_all_share_one(folder, tmp_path):
    _, own = panels(folder, tmp_path / "own")
    assert len(own) > 3
    assert all(hottest(pixels) > 240 for pixels in own)
    result, shared = panels(folder, tmp_path / "shared", panel={"scale": "run"})
    heats = [hottest(pixels) for pixels in shared]
    assert max(heats) > 240 and min(heats) < 200
    assert result.report.settings["panel"] == {"scale": "run"}


def test_a_change_of_the_scale_has_the_critic_asked_again_and_going_back_does_not(folder, tmp_path):
    panels(folder, tmp_path / "run")
    told = []
    loop = FeedbackLoop(
        NearestColour(),
        Brightness(),
        ColourCritic(),
        Painter(),
        recipe=Recipe(steps=4, batch_size=8),
        settings={"mistakes": {"faithfulness": 0}, "panel": {"scale": "run"}},
    )
    splits = Splits.from_folder(folder, validation=0.0, test=0.0)
    loop.run(splits, tmp_path / "run", until="critique", watch=told.append)
    assert any("panel.scale: 'image' -> 'run' (again: critiques" in step.note for step in told)
    _, again = panels(folder, tmp_path / "run")
    assert all(hottest(pixels) > 240 for pixels in again)


def test_a_panel_that_the_critic_did_not_look_at_is_neither_drawn_nor_kept(folder, tmp_path, monkeypatch):
    from xaiaug import panel

    drawn, draw = [], panel.draw
    monkeypatch.setattr(panel, "draw", lambda *args, **options: drawn.append(1) or draw(*args, **options))
    loop = FeedbackLoop(NearestColour(), Brightness(), Halfway(), Painter(), recipe=Recipe(steps=4, batch_size=8))
    splits = Splits.from_folder(folder, validation=0.0, test=0.0)
    kept = [case.panel is not None for case in loop.run(splits, tmp_path / "run", until="critique").mistakes]
    assert 0 < sum(kept) == len(drawn) < len(kept)
