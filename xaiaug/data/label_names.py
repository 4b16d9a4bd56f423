"""Names of classes and files: one spelling each, and a warning where two look like one."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath

from ..errors import DataError

_SHOWN = 5
_SPLIT = (
    r"(train|training|trn|guide|valid|validation|val|test|testing|tst|dev|eval|evaluation|reserve|holdout|unlabeled)"
)
_COMPANION = (
    r"(image|img|jpegimage|photo|picture|mask|label|annotation|annot|bbox|box|groundtruth|gt|segmentation|"
    r"segmentationclass|segmentationobject|trimap|imageset|thumbnail|thumb|depth|heatmap|metadata)s?"
)
_BESIDE = re.compile(r"(.+?)[ _.-]+(masks?|segmentation|groundtruth|trimap)([ _.-]?[0-9]+)?", re.IGNORECASE)
# How programs write that a value is missing.
_NO_VALUES = {"nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "<NA>", "None", "null", "NULL", "undefined", "?", "-"}
# Small Cyrillic letters, and the Latin ones that they look like.
_LOOKALIKES = str.maketrans("аеорсухіѕјһкмтв", "aeopcyxisjhkmtb")
_NO_CLASS = re.compile(rf"({_SPLIT}(set|split|data|images?|imgs?)?|{_COMPANION})[0-9]*")


def normalise_label(name: str) -> str:
    """The name in Unicode's composed form (NFC), without blanks around it: macOS writes accents as characters apart."""
    return unicodedata.normalize("NFC", name).strip()


def warn_of_variants(labels: Collection[str]) -> Iterator[str]:
    """A line for each way in which names are likely no classes of their own.

    They differ only in case, blanks, width, accents, a plural s, invisible characters, letters of two alphabets that
    look the same or how a number is written; they stand for a missing value; or they join other classes.
    """
    by_fold: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        by_fold[_fold(label)].append(label)
    similar = [" and ".join(repr(name) for name in names[:_SHOWN]) for names in by_fold.values() if len(names) > 1]
    if similar:
        more = f" and {len(similar) - _SHOWN} more" if len(similar) > _SHOWN else ""
        named = ", ".join(similar[:_SHOWN])[:500]
        yield f"classes whose names are nearly the same: {named}{more}; rename them if they are one class"
    missing = sorted(_NO_VALUES.intersection(labels))
    if 0 < len(missing) < len(labels):
        yield f"classes whose names mean that there is no label: {', '.join(missing)}; leave their images out if so"
    joined = sorted(label for label in labels if _joins_classes(label, labels))
    if joined:
        yield (
            f"classes whose names join others: {', '.join(joined[:_SHOWN])[:300]}; if an image may have several "
            "classes, keep those with one"
        )


def _joins_classes(label: str, labels: Collection[str]) -> bool:
    parts = [part.strip(" []'\"") for part in re.split(r"[;|,+&/]", label)]
    return len(parts) > 1 and all(part in labels for part in parts)


def refuse_folder_names(labels: Collection[str]) -> None:
    """Raises DataError where all names of classes are those of splits, or of folders that stand beside images."""
    if len(labels) > 1 and all(_NO_CLASS.fullmatch(re.sub(r"[\W_]", "", label).casefold()) for label in labels):
        raise DataError(
            f"the classes would be {', '.join(sorted(labels)[:_SHOWN])}, which are names of splits or of what comes "
            "with images, not of classes. Sort the images by class (train/cat/1.jpg, or cat/1.jpg without splits) and "
            "move masks and annotations elsewhere, or list files and labels in a table (Splits.from_manifest)"
        )


def find_masks(names: Sequence[str]) -> list[tuple[str, str]]:
    """The files that are named as the mask of another (`1_mask.png` beside `1.jpg`), each with that other."""
    stems = {PurePath(name).stem: name for name in names}
    matches = [(name, _BESIDE.fullmatch(PurePath(name).stem)) for name in names]
    return [(name, stems[match[1]]) for name, match in matches if match and match[1] in stems]


def refuse_unusable_names(labels: Collection[str]) -> None:
    """Raises DataError where the name of a class cannot be shown and stored."""
    for label in labels:
        if not is_usable_name(label):
            raise DataError(f"the class {label[:80]!r} has control characters, or bytes that are not text, in its name")


def is_usable_name(name: str) -> bool:
    """Whether a name can be shown and stored: without control characters and bytes that are no text."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def _fold(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    if len(text) > 2:  # letters may be classes themselves
        text = re.sub(r"(?<=[a-z])[\u0300-\u036F]+", "", unicodedata.normalize("NFKD", text.translate(_LOOKALIKES)))
    text = " ".join(re.sub(r"(?<=\w)[_-]+(?=\w)|[\uFE00-\uFE0F]", " ", text).split()).rstrip(".,:;")
    text = re.sub(r"(?<=[a-z]{3})(?<!s)s$", "", text)
    try:
        return repr(float(text)) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) else text
    except ValueError:  # digits of another script
        return text


def to_class_indices(who: str, labels: Sequence[str] | Sequence[int], classes: Sequence[str]) -> list[int]:
    """The index of each label, given as a name or as an index; without names of classes any index counts.

    Args:
        who: to name in errors.
        labels: names or indices.
        classes: their names, in the order of the classifier.

    Raises:
        DataError: a label is none of them.
    """
    indices = []
    for label in labels:
        if isinstance(label, str) and label in classes:
            indices.append(list(classes).index(label))
        elif not isinstance(label, str) and int(label) == label and 0 <= int(label) < (len(classes) or math.inf):
            indices.append(int(label))
        else:
            raise DataError(f"{who}: labels must be of {', '.join(classes)}, or their indices; got {label!r:.80}")
    return indices
