"""One trial: the mistakes of a slice and correct images are edited, and the classifier is asked again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PluginError
from ..records import Cause, derive_seed
from .mechanisms import edit_control, exchange, has_cause, is_editable, is_exchangeable
from .nuisance import NUISANCES, list_nuisances
from .photo import Photo

Probabilities = NDArray[np.floating]
Ask = Callable[[Sequence[Image.Image]], Probabilities]

BATCH = 64  # images the classifier is asked at once
MOST_CORRECT = 40  # correct images that a cause is tried on
CAUSE, ELSEWHERE, NUISANCE = "cause", "elsewhere", "nuisance"
# As it is, and after all nuisance edits if its half chooses one of them, else after three edits.
PREDICTIONS = ((1 + len(NUISANCES)) + (1 + 3)) / 2  # an edited image, on average


@dataclass(frozen=True, eq=False)
class StatedCause:
    """One mistake and its stated cause.

    Attributes:
        photo: the failed image.
        cause: what is stated of it.
    """

    photo: Photo
    cause: Cause


@dataclass(frozen=True, eq=False)
class Slice:
    """Mistakes that state one mechanism, and the images their experiment needs.

    Attributes:
        label, predicted: indices of the true and the predicted class.
        stated: the mistakes; the causes have one mechanism.
        correct: images of the true class that are classified correctly.
        others: images of the predicted class that are classified correctly.
    """

    label: int
    predicted: int
    stated: Sequence[StatedCause]
    correct: Sequence[Photo] = ()
    others: Sequence[Photo] = ()


@dataclass(frozen=True, eq=False)
class EditedImage:
    """One image, as it was and as it was edited.

    Attributes:
        id: of its sample.
        before, after: the image, and the image after the cause's edit.
        elsewhere: after the same edit elsewhere.
        right: whether each of the three is classified correctly.
    """

    id: str
    before: Image.Image
    after: Image.Image
    elsewhere: Image.Image
    right: tuple[bool, bool, bool]


@dataclass(frozen=True, eq=False)
class Arms:
    """The answers for one group of edited images: mistakes, or correct images.

    Attributes:
        rise: by edit, n: how much the true class's share of the probability of both classes rose; only of the images
            that the outcome rests on.
        right: by edit, n: whether the edited image is classified correctly.
        nuisance: the name of the nuisance edit with the largest effect, chosen on the other half.
        images: some of the edited images.
        total: edited images, those that chose the nuisance edit included.
    """

    rise: dict[str, NDArray[np.float64]]
    right: dict[str, NDArray[np.bool_]]
    nuisance: str
    images: tuple[EditedImage, ...]
    total: int

    @property
    def count(self) -> int:
        """Images that the outcome rests on."""
        return len(self.rise[CAUSE])


@dataclass(frozen=True, eq=False)
class Trial:
    """What a slice's experiment came to.

    Attributes:
        label, predicted: indices of the true and the predicted class.
        stated: id and stated cause of each mistake.
        mistakes: the failed images.
        correct: correct images of the class.
        absent: mistakes of which the stated cause is not true.
        uneditable: mistakes that could not be edited.
    """

    label: int
    predicted: int
    stated: tuple[tuple[str, Cause], ...]
    mistakes: Arms
    correct: Arms
    absent: int
    uneditable: int


@dataclass(frozen=True, eq=False)
class _Pair:
    """A photo, the donor it exchanges the cause with, the photo whose backdrop is no change; whether it decides."""

    photo: Photo
    donor: Photo
    neutral: Photo | None
    cause: Cause
    has: bool
    decides: bool


@dataclass(eq=False)
class _Edited:
    """A pair with its two edits, and the classifier's answers to the images by the name of the edit."""

    pair: _Pair
    after: Image.Image
    elsewhere: Image.Image
    answers: dict[str, Probabilities] = field(default_factory=dict)

    def draw(self, name: str, seed: int) -> Image.Image:
        """The image after the edit of that name; "" is the image as it was."""
        if name in NUISANCES:
            rng = np.random.default_rng(derive_seed("nuisance", seed, self.pair.photo.id, name))
            return NUISANCES[name](self.pair.photo.image, rng)
        return {"": self.pair.photo.image, CAUSE: self.after, ELSEWHERE: self.elsewhere}[name]


def create_ask(who: str, predict_proba: Callable[[Sequence[Image.Image]], Any], classes: int) -> Ask:
    """Asks a classifier for probabilities, which are checked.

    Args:
        who: to name in errors.
        predict_proba: of the classifier.
        classes: number of classes.

    Raises:
        PluginError: it returns another shape, or values that are no probabilities.
    """

    def ask(images: Sequence[Image.Image]) -> Probabilities:
        answers = np.asarray(predict_proba(images), float)
        if answers.shape != (len(images), classes):
            raise PluginError(f"{who} must return shape {(len(images), classes)} (n k), got {answers.shape}")
        if not np.isfinite(answers).all() or np.abs(answers.sum(axis=1) - 1).max(initial=0) > 1e-3:
            raise PluginError(f"{who} must return finite probabilities whose rows sum to 1")
        return answers

    return ask


def run_trial(ask: Ask, chosen: Slice, seed: int, most_images: int = 4, *, halve: bool = True) -> Trial:
    """Edits the images of a slice and asks the classifier.

    Every second of the mistakes, and of the correct images, in the order of their ids, is of the half that chooses the
    nuisance edit that the other half is compared with. The same slice and seed give the same trial.

    Args:
        ask: images to probabilities, n k.
        chosen: the slice.
        seed: of donors, places and noise.
        most_images: edited images to return of each group.
        halve: False: all images choose the nuisance edit and decide, which makes it the strongest there is.
    """
    holding = [one for one in chosen.stated if is_editable(one.photo, one.cause)]
    real = [one for one in holding if has_cause(one.photo, one.cause, one.photo) == one.cause.present]
    rng = np.random.default_rng(derive_seed("causes", seed, sorted(one.photo.id for one in real)))
    real.sort(key=lambda one: one.photo.id)
    decides = _decide((one.photo.id for one in chosen.stated), halve) | _decide(
        (photo.id for photo in chosen.correct), halve
    )
    fixing = [pair for one in real if (pair := _pair_mistake(one, real, chosen, decides, rng)) is not None]
    breaking = list(islice(_pair_correct(real, chosen, decides, rng), MOST_CORRECT))
    question = _Question(ask, chosen, seed, most_images, halve)
    mistakes, correct = question.ask_of(fixing, 1, rng), question.ask_of(breaking, -1, rng)
    absent = len(holding) - len(real)
    stated = tuple((one.photo.id, one.cause) for one in chosen.stated)
    uneditable = len(stated) - absent - mistakes.total
    return Trial(chosen.label, chosen.predicted, stated, mistakes, correct, absent, uneditable)


def _pair_mistake(
    one: StatedCause, real: Sequence[StatedCause], chosen: Slice, decides: Collection[str], rng: np.random.Generator
) -> _Pair | None:
    """A failed image with a correct one of its class that differs from it in the cause."""
    present = one.cause.present
    donor = _draw(chosen.correct, lambda photo: _differs(photo, one, present), rng)
    if donor is None and one.cause.kind == "region" and present:
        donor = one.photo  # a region is erased without a donor
    if donor is None:
        return None
    peers = [other.photo for other in real if other.photo is not one.photo] + list(chosen.others)
    neutral = _neutral(one, chosen.correct, peers, present, rng)
    return _Pair(one.photo, donor, neutral, one.cause, present, one.photo.id in decides)


def _pair_correct(
    real: Sequence[StatedCause], chosen: Slice, decides: Collection[str], rng: np.random.Generator
) -> Iterator[_Pair]:
    """Correct images of the class, each with a failed one that differs from it in the cause."""
    for photo in sorted(chosen.correct, key=lambda photo: photo.id):
        for place in rng.permutation(len(real))[:4]:
            one = real[int(place)]
            if is_editable(photo, one.cause) and _differs(photo, one, one.cause.present):
                peers = [other for other in chosen.correct if other is not photo]
                neutral = _neutral(one, (), peers, not one.cause.present, rng)
                yield _Pair(photo, one.photo, neutral, one.cause, not one.cause.present, photo.id in decides)
                break


def _differs(photo: Photo, one: StatedCause, present: bool) -> bool:
    """Whether an image can exchange the cause with the failed one."""
    if not is_editable(photo, one.cause) or has_cause(photo, one.cause, one.photo) == present:
        return False
    return is_exchangeable(photo, one.photo, one.cause)


def _neutral(
    one: StatedCause, opposite: Sequence[Photo], peers: Sequence[Photo], has: bool, rng: np.random.Generator
) -> Photo | None:
    """Another image that has the cause as the edited one has: only backdrops need it.

    Where the cause is a colour, its backdrop is taken from correct images first: then all else that lies in a backdrop
    is exchanged too, so that a spot in it does not pass for its colour.
    """
    if one.cause.kind != "backdrop":
        return None

    def fits(photo: Photo) -> bool:
        return is_editable(photo, one.cause) and has_cause(photo, one.cause, one.photo) == has

    found = _draw(opposite, fits, rng) if one.cause.colour is not None else None
    return found or _draw(peers, fits, rng)


def _decide(ids: Iterable[str], halve: bool) -> set[str]:
    """The ids of the half that decides: the first, third and so on in their order; all of them unless halved."""
    return set(sorted(ids)[:: 2 if halve else 1])


def _draw(photos: Sequence[Photo], fits: Callable[[Photo], bool], rng: np.random.Generator) -> Photo | None:
    """A random photo that fits; None if none does."""
    order = rng.permutation(len(photos))
    return next((photos[int(i)] for i in order if fits(photos[int(i)])), None)


@dataclass(frozen=True, eq=False)
class _Question:
    """Asks the classifier about edited images of a slice."""

    ask: Ask
    slice: Slice
    seed: int
    most_images: int
    halve: bool

    def ask_of(self, pairs: Sequence[_Pair], sign: int, rng: np.random.Generator) -> Arms:
        """The answers; `sign` is 1 where edits should make the true class likelier, and -1 where less likely."""
        edited = [one for pair in pairs if (one := _edit(pair, rng)) is not None]
        deciding = [one for one in edited if one.pair.decides]
        choosing = [one for one in edited if not self.halve or not one.pair.decides] or edited
        names = list_nuisances(edited[0].pair.cause, edited[0].pair.has) if edited else list(NUISANCES)
        self._answer(choosing, ["", *names])
        nuisance = max(names, key=lambda name: sign * _mean(self._rises(choosing, name)))
        compared = {CAUSE: CAUSE, ELSEWHERE: ELSEWHERE, NUISANCE: nuisance}
        self._answer(deciding, ["", *compared.values()])
        return Arms(
            {key: self._rises(deciding, name) for key, name in compared.items()},
            {key: self._rights(deciding, name) for key, name in compared.items()},
            nuisance,
            tuple(self._to_image(one) for one in deciding[: self.most_images]),
            len(edited),
        )

    def _answer(self, edited: Sequence[_Edited], names: Sequence[str]) -> None:
        wanted = ((one, name) for one in edited for name in names if name not in one.answers)
        while some := list(islice(wanted, BATCH)):
            answers = self.ask([one.draw(name, self.seed) for one, name in some])
            for (one, name), answer in zip(some, answers, strict=True):
                one.answers[name] = answer

    def _rises(self, edited: Sequence[_Edited], name: str) -> NDArray[np.float64]:
        return np.array([self._share(one, name) - self._share(one, "") for one in edited], float)

    def _rights(self, edited: Sequence[_Edited], name: str) -> NDArray[np.bool_]:
        return np.array([self._is_right(one, name) for one in edited], bool)

    def _share(self, one: _Edited, name: str) -> float:
        """The true class's share of the probability of the true and the predicted class."""
        true, predicted = (float(one.answers[name][label]) for label in (self.slice.label, self.slice.predicted))
        return true / (true + predicted) if true + predicted > 0 else 0.5

    def _is_right(self, one: _Edited, name: str) -> bool:
        return int(np.argmax(one.answers[name])) == self.slice.label

    def _to_image(self, one: _Edited) -> EditedImage:
        right = (self._is_right(one, ""), self._is_right(one, CAUSE), self._is_right(one, ELSEWHERE))
        return EditedImage(one.pair.photo.id, one.pair.photo.image, one.after, one.elsewhere, right)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _edit(pair: _Pair, rng: np.random.Generator) -> _Edited | None:
    after = exchange(pair.photo, pair.donor, pair.cause, pair.has, rng)
    elsewhere = edit_control(pair.photo, pair.donor, pair.cause, pair.has, pair.neutral, rng)
    return None if after is None or elsewhere is None else _Edited(pair, after, elsewhere)
