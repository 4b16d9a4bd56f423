"""Which images are looked at where nothing is trained, and what a run that stops early needs."""

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp
from images_on_disk import write_classes, write_splits

from xaiaug import DataError, FeedbackLoop, Splits
from xaiaug.loop.diagnose import _as_guide


@pytest.mark.parametrize("splits", [("train",), ("train", "test"), ("train", "reserve")])
def test_neither_train_nor_test_is_taken_for_guide(tmp_path, splits):
    root = write_splits(tmp_path, dict.fromkeys(splits, 4))
    with pytest.raises(
        DataError, match=rf"has the splits {', '.join(sorted(splits))}, but neither guide nor validation"
    ):
        _as_guide(root)


def test_guide_then_validation_then_a_plain_folder_is_looked_at(tmp_path):
    both = write_splits(tmp_path / "both", {"train": 4, "guide": 3, "validation": 2, "test": 2})
    splits = _as_guide(both)
    assert (len(splits.train), len(splits.guide), len(splits.validation), len(splits.test)) == (8, 6, 0, 0)
    validation = write_splits(tmp_path / "validation", {"train": 4, "val": 2})
    assert len(_as_guide(validation).guide) == 4
    plain = write_classes(tmp_path / "plain", {"cat": 3, "dog": 3})
    assert (len(_as_guide(plain).guide), len(_as_guide(plain).train)) == (6, 0)


def test_a_run_that_stops_before_test_needs_no_test_split(tmp_path):
    root = write_splits(tmp_path, {"train": 6, "guide": 4})
    loop = FeedbackLoop(NearestColour(), Ramp(), ColourCritic(), Painter(), settings={"data": {"folder": str(root)}})
    assert not loop.splits("images").test
    for until in ("report", None):
        with pytest.raises(DataError, match="but no test"):
            loop.splits(until)
    assert Splits.from_folder(root, require_test=False).given == ("guide", "train")
