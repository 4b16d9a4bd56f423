"""Plugins without torch, for tests of everything around plugins: quick, deterministic, and honest about their rules."""

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from xaiaug import Context, Critic, Critique, Failure, Synthesizer, SyntheticImage, testing
from xaiaug.calls import CallError, RawReply, classify, retry_after
from xaiaug.testing import Ramp
from xaiaug.testing.fakes import mean_colour

__all__ = ["Ramp", "mean_colour"]


class NearestColour(testing.NearestColour):
    """Trains as it always does whatever the recipe augments by, so that every arm of a run can be tested."""

    def _check_recipe(self, recipe):
        pass


class ColourCritic(Critic):
    """Looks at the panel, and says which colour the image has."""

    def critique(self, cases):
        return [self._one(case) for case in cases if case.panel.width]

    def _one(self, case):
        red, green, blue = (int(255 * value) for value in mean_colour(case.image))
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        return Critique(
            cause=f"the colour {colour} is that of {case.predicted}",
            prompt=f"a {case.label} in {colour}",
            attended="background",
            guidance={"backdrop_colour": colour},
        )


class Posting(ColourCritic):
    """Asks a paid service that speaks Anthropic's protocol for the words, one call a case."""

    remote = True
    batch_size = 1

    def __init__(self, url: str, model: str = "a-model") -> None:
        self.url = url
        self.model = model

    def prepare(self, context: Context) -> None:
        self._paid = context.paid

    def _one(self, case):
        made = super()._one(case)
        request = {
            "model": self.model,
            "max_tokens": 100,
            "messages": [{"role": "user", "content": f"{case.id}: {made.prompt}"}],
        }
        worst = self._paid.worst_case_usd(self.model, {"input_tokens": 200, "output_tokens": 100})
        reply = self._paid.call(case.id, request, worst_case_usd=worst, send=self._send)
        return replace(made, cause=reply.body["content"][0]["text"])

    def _send(self, request) -> RawReply:
        headers = {"x-api-key": "any", "content-type": "application/json"}
        body = json.dumps(request).encode()
        message = urllib.request.Request(f"{self.url}/v1/messages", body, headers)  # noqa: S310  the test's own server
        try:
            with urllib.request.urlopen(message, timeout=60) as reply:  # noqa: S310
                body = json.load(reply)
        except urllib.error.HTTPError as error:
            detail = error.read().decode()
            kind = classify(error.code, detail)
            raise CallError(kind, detail, status=error.code, retry_after_s=retry_after(dict(error.headers))) from error
        return RawReply(body, {name: body["usage"][name] for name in ("input_tokens", "output_tokens")})


class Painter(Synthesizer):
    """Paints the wished colour with a little noise."""

    uses = frozenset({"guidance"})

    def synthesize(self, requests):
        return [self._one(request) for request in requests]

    def _one(self, request):
        rng = np.random.default_rng(request.seed)
        colour = request.guidance["backdrop_colour"].lstrip("#")
        base = np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)])
        pixels = np.clip(base + rng.normal(0, 12, (16, 16, 3)), 0, 255).astype(np.uint8)
        return SyntheticImage(Image.fromarray(pixels), request.seed, request.prompt)


class SlowPainter(Painter):
    """Paints two images at a time, says so, and sleeps $FAKE_SECONDS."""

    batch_size = 2

    def synthesize(self, requests):
        print("making", flush=True)  # noqa: T201
        time.sleep(float(os.environ["FAKE_SECONDS"]))
        return super().synthesize(requests)


class Refusing(Critic):
    """Fails on every case whose id begins with a digit below 8."""

    def critique(self, cases):
        return [
            Failure("refusal", "would rather not") if case.id[0] in "01234567" else ColourCritic()._one(case)
            for case in cases
        ]


def paint_folder(
    root: Path, counts: dict[str, int], *, classes=("blue", "red"), noise: float = 60.0, seed: int = 0
) -> Path:
    """Writes split/class/*.png: noisy images around a colour a class; the noise makes some of them mistakes."""
    rng = np.random.default_rng(seed)
    centres = {name: rng.uniform(60, 200, 3) for name in classes}
    for split, count in counts.items():
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                colour = centres[name] + rng.normal(0, noise, 3)
                pixels = np.clip(colour + rng.normal(0, 10, (16, 16, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root
