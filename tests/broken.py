"""Plugins broken on purpose, one for each check of xaiaug.testing that must find it out."""

import contextlib
import os
import random
import socket
import urllib.request
import warnings
from dataclasses import replace

import numpy as np
from PIL import Image

from xaiaug import Critique, Failure, History, Synthesizer, SyntheticImage
from xaiaug.calls import RawReply
from xaiaug.interfaces import Prepared
from xaiaug.records import Estimate
from xaiaug.testing import NearestColour, PlainColour, Ramp, ScriptedCritic


def changed(base, method, change):
    """A subclass whose method passes its result, and what it was given, through `change`."""

    def altered(self, *given, **named):
        return change(getattr(base, method)(self, *given, **named), *given)

    return type(f"Broken{base.__name__}", (base,), {method: altered})


def before(base, method, do):
    """A subclass that does something before its method; `do` gets the plugin and what the method was given."""

    def altered(self, *given, **named):
        do(self, *given)
        return getattr(base, method)(self, *given, **named)

    return type(f"Broken{base.__name__}", (base,), {method: altered})


def having(base, **attributes):
    return type(f"Broken{base.__name__}", (base,), attributes)


def critiques(**fields):
    def change(made, cases):
        # Past __post_init__, as a plugin of its own making would.
        for critique in made:
            for name, value in fields.items():
                object.__setattr__(critique, name, value)
        return made

    return changed(ScriptedCritic, "critique", change)


def explanations(**fields):
    return changed(
        Ramp,
        "explain",
        lambda made, classifier, images, targets: [
            replace(one, **{name: change(one) for name, change in fields.items()}) for one in made
        ],
    )


def pictures(**fields):
    return changed(
        PlainColour,
        "synthesize",
        lambda made, requests: [replace(one, **{name: change(one) for name, change in fields.items()}) for one in made],
    )


class Swallowing(ScriptedCritic):
    def __init__(self, **options):
        self.options = options


class Forgetting(PlainColour):
    def __init__(self, side=32):
        self.side = side + 1


class Complicated(Ramp):
    def __init__(self, layers=frozenset({1})):
        self.layers = layers


class Reading(Ramp):
    def __init__(self):
        with open(os.devnull) as file:  # noqa: PTH123
            file.read()


class Stuck(ScriptedCritic):
    def __reduce__(self):
        return open, ("no such file",)


class OnceOnly(Ramp):
    prepared = 0

    def prepare(self, context):
        self.prepared += 1
        if self.prepared > 1:
            raise RuntimeError("prepared already")


class Overdrawn(ScriptedCritic):
    def estimate(self, items):
        return Estimate(calls=(5, 2))


class Counting(PlainColour):
    """Numbers its images, so that chance comes from how often it was asked."""

    made = 0

    def synthesize(self, requests):
        self.made += 1
        return super().synthesize([replace(request, seed=request.seed + self.made) for request in requests])


class Comparing(Ramp):
    """Scales each map by the largest image of the batch."""

    def explain(self, classifier, images, targets):
        largest = max((image.width for image in images), default=1)
        made = super().explain(classifier, images, targets)
        return [replace(one, heatmap=one.heatmap * largest) for one in made]


class Insisting(ScriptedCritic):
    def critique(self, cases):
        if not cases:
            raise IndexError("no cases")
        return super().critique(cases)


class Leaving(Ramp):
    """Leaves a hook in the network it explains."""

    def explain(self, classifier, images, targets):
        classifier.means = classifier.means + 0.1
        return super().explain(classifier, images, targets)


class Peeking(Ramp):
    def explain(self, classifier, images, targets):
        _ = classifier.module
        return super().explain(classifier, images, targets)


class Large(Ramp):
    def explain(self, classifier, images, targets):
        if min(image.width for image in images) < 16:
            raise ValueError("image too small")
        return super().explain(classifier, images, targets)


class Depending(Ramp):
    def explain(self, classifier, images, targets):
        made = super().explain(classifier, images, targets)
        return [replace(one, heatmap=one.heatmap + one.target) for one in made]


class NeedingMaps(ScriptedCritic):
    def critique(self, cases):
        return [
            replace(made, confidence=float(case.explanation.heatmap.max() > 0)) for made, case in self._pairs(cases)
        ]

    def _pairs(self, cases):
        return zip(super().critique(cases), cases, strict=True)


class NeedingTraining(ScriptedCritic):
    def prepare(self, context):
        self.count = len(context.train)


class Reads(Synthesizer):
    """Reads everything and says nothing of it."""

    def synthesize(self, requests):
        return [self._one(request) for request in requests]

    def _one(self, request):
        text = repr((request.prompt, sorted(request.guidance.items()), request.seed))
        rng = np.random.default_rng(list(text.encode()))
        pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
        if request.source is not None:
            pixels[:8, :8] = np.asarray(request.source.resize((8, 8)))
        if request.explanation is not None:
            pixels[8:, 8:, 0] = np.argmax(request.explanation.heatmap) % 251
        return SyntheticImage(Image.fromarray(pixels), request.seed, request.prompt)


class Turned(PlainColour):
    """Gives an image of another size than the one it edits."""

    uses = frozenset({"image"})
    per_case = ("own", "another")

    def synthesize(self, requests):
        images = [(request.base or request.source).rotate(90, expand=True) for request in requests if request.source]
        return [SyntheticImage(image, request.seed, "") for image, request in zip(images, requests, strict=False)]


class Seedless(PlainColour):
    def synthesize(self, requests):
        made = super().synthesize([replace(request, seed=request.index) for request in requests])
        return [replace(one, seed=request.seed) for one, request in zip(made, requests, strict=True)]


class Demanding(PlainColour):
    def synthesize(self, requests):
        return [
            made for request, made in zip(requests, super().synthesize(requests), strict=True) if request.source.size
        ]


class Careless(NearestColour):
    def predict_proba(self, images):
        if self.means is None:
            raise AttributeError("no means")
        return super().predict_proba(images)


class Chancy(NearestColour):
    def fit(self, train, validation, *, recipe, seed):
        return super().fit(train, validation, recipe=recipe, seed=random.randrange(10**6))


class Shared(NearestColour):
    """Its forks share the means."""

    def fit(self, train, validation, *, recipe, seed):
        old = self.means
        history = super().fit(train, validation, recipe=recipe, seed=seed)
        if old is not None:
            old[:] = self.means + 0.2
        return history

    def fork(self):
        made = type(self)(self.sharpness)
        made.labels, made.means = self.labels, self.means
        return made


class Obedient(NearestColour):
    def _check_recipe(self, recipe):
        pass


class Forgetful(NearestColour):
    @classmethod
    def load(cls, folder):
        made = super().load(folder)
        made.means = made.means[::-1]
        return made


class Mislabelled(NearestColour):
    def prepare(self, context):
        self.labels = context.labels[::-1]


class NetworkOfAnother(NearestColour):
    """Shows a network that has nothing to do with its predictions."""

    @property
    def module(self):
        import torch

        class Constant(torch.nn.Module):
            def forward(self, pixels):
                return torch.tensor([[9.0, 0.0]]).expand(len(pixels), 2)

        return Constant().eval()

    def preprocess(self, images):
        import torch

        return Prepared(torch.zeros(len(images), 3, 4, 4), torch.tensor([[0.0, 0.0, 900.0, 900.0]] * len(images)))


class Posting(ScriptedCritic):
    """Asks the service that speaks Anthropic's protocol, but not through the context."""

    remote = True
    version = "1"

    def estimate(self, items):
        return Estimate(calls=(items, items), receiver="api.example.com", model="a-model")

    def critique(self, cases):
        return [self._ask(case) for case in cases]

    def _ask(self, case):
        import json

        body = {"model": "a-model", "max_tokens": 9, "messages": [{"role": "user", "content": f"{case.id}?"}]}
        headers = {"x-api-key": "any", "content-type": "application/json"}
        url = f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            reply.read()
        return Critique(f"takes {case.label} for {case.predicted}", f"a photo of a {case.label}")


class Paying(Posting):
    """Pays through the context, under a key that is new each time."""

    asked = 0

    def prepare(self, context):
        self._paid = context.paid

    def _ask(self, case):
        self.asked += 1
        key = self._key(case)

        def send(request):
            Posting._ask(self, case)
            return RawReply({"text": "because"}, {"input_tokens": 1, "output_tokens": 1})

        self._paid.call(key, {"model": "a-model"}, worst_case_usd=0.01, send=send)
        return Critique(f"takes {case.label} for {case.predicted}", f"a photo of a {case.label}")

    def _key(self, case):
        return f"{case.id}-{self.asked}"


class Honest(Paying):
    """Does all of it right."""

    def _key(self, case):
        return case.id


class Muddled(Honest):
    """Keeps the case it is at in itself, where threads overwrite each other."""

    def critique(self, cases):
        for case in cases:
            self.case = case
        super().critique(cases)
        return [replace(ScriptedCritic._one(self, case), confidence=self._again()) for case in cases]

    def _again(self):
        self.count = getattr(self, "count", 0) + 1
        return 1 / (1 + self.count)


def calling(*_):
    with contextlib.suppress(OSError):
        socket.create_connection(("example.com", 443), timeout=5)


def painting(_, requests):
    for request in requests:
        if request.source is not None:
            request.source.putpixel((0, 0), (1, 2, 3))


BROKEN = {
    "declarations-are-valid": having(PlainColour, uses=frozenset({"prompts"})),
    "parameters-are-stored": Forgetting,
    "parameters-are-plain": Complicated,
    "init-only-stores": Reading,
    "survives-pickling": Stuck,
    "import-is-light": None,  # a package of its own: see the tests
    "can-be-prepared-again": OnceOnly,
    "estimates-before-prepare": Overdrawn,
    "succeeds-on-an-item": changed(ScriptedCritic, "critique", lambda made, _: [Failure("no", "never")] * len(made)),
    "one-result-per-item": changed(ScriptedCritic, "critique", lambda made, cases: made[:-1]),
    "results-have-the-right-type": changed(Ramp, "explain", lambda made, *_: [one.heatmap for one in made]),
    "keeps-the-order": changed(PlainColour, "synthesize", lambda made, requests: [made[0], *made[:0:-1]]),
    "a-batch-equals-singles": Comparing,
    "an-empty-batch-gives-nothing": Insisting,
    "is-deterministic": Counting,
    "is-thread-safe": Muddled,
    "predicts-probabilities": changed(NearestColour, "predict_proba", lambda made, images: made * 2),
    "uses-the-labels-of-the-context": Mislabelled,
    "reports-that-it-is-not-fitted": Careless,
    "fit-returns-a-history": changed(NearestColour, "fit", lambda made, *_: History((9,), (0,), (0,), (0,), (0,))),
    "training-is-deterministic": Chancy,
    "rejects-unsupported-recipes": Obedient,
    "trains-by-the-methods-it-names": having(NearestColour, training_methods=frozenset({"jtt"})),
    "survives-save-and-load": Forgetful,
    "forks-are-independent": Shared,
    "features-are-finite": having(NearestColour, embed=lambda self, images: np.zeros((1, 3), np.float32)),
    "network-matches-predictions": NetworkOfAnother,
    "boxes-lie-in-the-image": NetworkOfAnother,
    "heatmaps-have-the-size-of-their-image": explanations(heatmap=lambda one: one.heatmap.T.copy()),
    "heatmaps-are-finite": explanations(heatmap=lambda one: one.heatmap * np.float32(np.inf)),
    "grids-are-finite": explanations(grid=lambda one: np.full((2, 2), np.nan, np.float32)),
    "explanations-name-method-and-target": explanations(target=lambda one: 0),
    "declares-class-specific": Depending,
    "leaves-the-classifier-unchanged": Leaving,
    "explains-or-rejects-any-classifier": Peeking,
    "explains-images-of-any-size": Large,
    "critiques-have-text": critiques(evidence=["a list"]),
    "critiques-are-plain": critiques(confidence=np.float32(0.5)),
    "prompts-name-the-class": critiques(prompt="a photo of an animal"),
    "guidance-is-valid": critiques(guidance={"backdrop_colour": "greenish"}),
    "critiques-without-a-heatmap": NeedingMaps,
    "critiques-without-training-images": NeedingTraining,
    "images-can-be-trained-on": pictures(image=lambda one: one.image.convert("L")),
    "images-record-seed-and-prompt": pictures(seed=lambda one: 0),
    "details-are-plain": pictures(details=lambda one: {"size": np.int64(3)}),
    "another-seed-gives-another-image": Seedless,
    "ignores-an-undeclared-prompt": Reads,
    "ignores-undeclared-guidance": Reads,
    "ignores-an-undeclared-image": Reads,
    "ignores-an-undeclared-map": Reads,
    "a-base-is-edited": Turned,
    "handles-a-bare-request": Demanding,
    "names-the-receiver": having(Honest, estimate=lambda self, items: Estimate()),
    "pays-through-the-context": Posting,
    "pays-only-once": Paying,
    "leaves-random-state-unchanged": before(Ramp, "explain", lambda *_: np.random.rand()),
    "leaves-the-process-unchanged": before(Ramp, "explain", lambda *_: warnings.simplefilter("ignore")),
    "leaves-its-items-unchanged": before(PlainColour, "synthesize", painting),
    "stays-offline": before(ScriptedCritic, "critique", calling),
    "prints-nothing": before(ScriptedCritic, "critique", lambda *_: print("here")),  # noqa: T201
}


MORE = [
    ("parameters-are-stored", Swallowing),
    ("heatmaps-are-finite", explanations(heatmap=lambda one: np.full_like(one.heatmap, np.nan))),
    ("heatmaps-have-the-size-of-their-image", explanations(heatmap=lambda one: one.heatmap.astype(np.float64))),
    ("one-result-per-item", changed(Ramp, "explain", lambda made, *_: iter(made))),
    (
        "results-have-the-right-type",
        changed(ScriptedCritic, "critique", lambda made, _: [Failure("", "why")] * len(made)),
    ),
    ("leaves-random-state-unchanged", before(ScriptedCritic, "critique", lambda *_: random.random())),
    ("leaves-the-process-unchanged", before(PlainColour, "synthesize", lambda *_: os.environ.update(LEFT="behind"))),
    ("leaves-the-process-unchanged", before(PlainColour, "synthesize", lambda *_: os.chdir("/"))),
    ("guidance-is-valid", critiques(guidance={"size": 7})),
    ("images-can-be-trained-on", pictures(image=lambda one: np.asarray(one.image))),
    ("images-can-be-trained-on", pictures(image=lambda one: one.image.resize((4, 4)))),
    ("explanations-name-method-and-target", explanations(method=lambda one: "")),
    ("predicts-probabilities", changed(NearestColour, "predict_proba", lambda made, images: made.astype(np.float64))),
    ("fit-returns-a-history", changed(NearestColour, "fit", lambda made, *_: None)),
    ("estimates-before-prepare", having(Ramp, estimate=lambda self, items: {"calls": items})),
    ("declarations-are-valid", having(Ramp, batch_size=0)),
    ("declarations-are-valid", having(Ramp, version=2)),
]
