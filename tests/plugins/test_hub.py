"""Size and licence of a checkpoint on this machine are known without loading it."""

import shutil

import pytest

from xaiaug import load
from xaiaug.plugins.classifiers._hub import find_local_folder, read_licence
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Estimate


def test_the_size_is_that_of_a_saved_model(tiny_vit, tmp_path):
    said = TransformersClassifier(str(tiny_vit)).estimate(10).disk_bytes[0]
    load("classifier", "transformers", checkpoint=str(tiny_vit)).save(tmp_path)
    assert said == pytest.approx((tmp_path / "model.safetensors").stat().st_size, rel=0.2)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ("# A model without a word on it\n", ""),
        ("---\nlicense: of a block that never ends\n", ""),
        (None, ""),
    ],
)
def test_the_licence_is_that_of_the_card_and_the_hub_says_nothing_of_it(tiny_vit, tmp_path, monkeypatch, card, said):
    warnings = []
    monkeypatch.setattr("huggingface_hub.repocard.logger.warning", warnings.append)
    folder = shutil.copytree(tiny_vit, tmp_path / "vit")
    if card:
        (folder / "README.md").write_text(card)
    assert read_licence(folder) == said
    assert TransformersClassifier(str(folder)).estimate(1).licence == said
    assert not warnings


def test_before_a_download_nothing_is_known():
    assert find_local_folder("nobody/nothing", None) is None
    assert find_local_folder("not/a/name/at all", None) is None
    assert TransformersClassifier("nobody/nothing").estimate(1) == Estimate()
