"""The state of a saved classifier is read back, and a folder without it is refused."""

import pytest

from xaiaug.errors import DataError
from xaiaug.plugins.classifiers._saved_state import STATE, read_state, write_state


def test_it_is_read_back_from_a_new_folder(tmp_path):
    write_state(tmp_path / "new" / "folder", {"labels": ["a", "ö"], "parameters": {"most": 3}})
    assert read_state(tmp_path / "new" / "folder", int) == {"labels": ["a", "ö"], "parameters": {"most": 3}}


def test_a_folder_that_save_did_not_write_is_refused(tmp_path):
    with pytest.raises(DataError, match=f"int: .* holds no {STATE}; give a folder that save wrote"):
        read_state(tmp_path, int)


def test_a_damaged_file_is_refused(tmp_path):
    write_state(tmp_path, {"labels": ["a"]})
    whole = (tmp_path / STATE).read_text(encoding="utf-8")
    (tmp_path / STATE).write_text(whole[:-3], encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        read_state(tmp_path, int)
