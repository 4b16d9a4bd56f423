"""Which labels of a checkpoint are the classes of the data: by name, by the user's table, else nothing."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from ...errors import ConfigError, name_some


class LabelMatch(NamedTuple):
    """The labels of a checkpoint in the words of the data.

    Attributes:
        names: one for each label of the checkpoint, in its order: the class of the data it is, or as it was.
        respelt: the labels that were taken for a class with another spelling, each with that class.
    """

    names: tuple[str, ...]
    respelt: dict[str, str]


def rename_labels(own: Sequence[str], table: Mapping[str, str]) -> tuple[str, ...]:
    """The labels of a checkpoint, those in the user's table by the class of the data it gives them.

    Raises:
        ConfigError: the table names no label of the checkpoint, or gives two of them the same class.
    """
    for label in table:
        if label not in own:
            close = get_close_matches(label, own, n=1, cutoff=0.5)
            near = f"did you mean {close[0]!r}? " if close else ""
            raise ConfigError(
                f"TransformersClassifier: labels names {label!r}, which is no label of the checkpoint; {near}It has"
                f" {name_some(own)}"
            )
    names = tuple(table.get(label, label) for label in own)
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise ConfigError(
            f"TransformersClassifier: with labels, {double[0]!r} stands for several outputs of the checkpoint; give"
            " each its own class"
        )
    return names


def match_labels(
    own: Sequence[str], classes: Sequence[str], repeated: Sequence[str] = (), negative: str = ""
) -> LabelMatch:
    """Finds the classes of the data among the labels of a checkpoint.

    A label is the class of the same name, or the only one that differs from it in case, Unicode form, or in blanks
    written as hyphens or underscores.

    Args:
        own: labels of the checkpoint, no two the same.
        classes: of the data.
        repeated: names that stand for several outputs.
        negative: our name for what a head with one output is against; it is the other one of two classes.

    Raises:
        ConfigError: a class of the data is the name of several outputs.
    """
    missing = [label for label in classes if label not in own]
    for label in missing:
        if label in repeated:
            found = [name for name in own if name.startswith(f"{label} (")]
            raise ConfigError(
                f"TransformersClassifier: the label {label!r} stands for several outputs of the checkpoint; say which"
                f' is the class of the data with [classifier] labels = {{ "{found[0]}" = "{label}" }}, out of'
                f" {name_some(found)}"
            )
    respelt = _match_spelling([name for name in own if name not in classes], missing)
    others = [label for label in missing if label not in respelt.values()]
    if negative in own and len(classes) == 2 and len(others) == 1:
        respelt[negative] = others[0]
    return LabelMatch(tuple(respelt.get(name, name) for name in own), respelt)


def describe_match(match: LabelMatch) -> tuple[str, ...]:
    """What a reader must know of a match: labels that were taken for a class with another spelling."""
    pairs = [f"{label} for {name}" for label, name in match.respelt.items()]
    return (f"Labels of the checkpoint were taken for classes of the data: {name_some(pairs)}.",) if pairs else ()


def describe_mismatch(checkpoint: str, own: Sequence[str], classes: Sequence[str]) -> str:
    """That a trained head is not used, with both sets of labels and the way to keep it."""
    known = [label for label in classes if label in own]
    if len(known) == len(classes):
        keep = "To keep it, restricted to these classes, set [classifier] restrict = true."
    else:
        keep = f"If they mean the same, say so with {suggest_table(own, classes)}."
    return (
        f"The trained head of {checkpoint!r} is not used: it has the {len(own)} labels {name_some(own)}, the data have"
        f" the {len(classes)} classes {name_some(classes)}. Training gives it a new head. {keep}"
    )


def suggest_table(own: Sequence[str], classes: Sequence[str]) -> str:
    """The setting that would map labels to classes, with the nearest names, or all in order where none is near."""
    near = {_fold(label): label for label in own}
    pairs = []
    for index, name in enumerate(classes[:4]):
        close = get_close_matches(_fold(name), list(near), n=1, cutoff=0.5)
        if close or len(own) == len(classes):
            pairs.append(f'"{near[close[0]] if close else own[index]}" = "{name}"')
    if not pairs:
        return '[classifier] labels = { "label of the checkpoint" = "class of the data" }'
    return f"[classifier] labels = {{ {', '.join(pairs)}{', …' if len(classes) > len(pairs) else ''} }}"


def _match_spelling(names: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """The names that fold to the same as one class, where no other name and no other class does."""
    of_names, of_classes = Counter(map(_fold, names)), Counter(map(_fold, classes))
    by_fold = {_fold(label): label for label in classes if of_classes[_fold(label)] == 1}
    return {name: by_fold[_fold(name)] for name in names if _fold(name) in by_fold and of_names[_fold(name)] == 1}


def _fold(label: str) -> str:
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())
    return " ".join(text.replace("_", " ").replace("-", " ").split())
