"""Files and folders written beside and renamed."""

from __future__ import annotations

import os
import time

import pytest

from unifex.core.files import LEFT_SECONDS, new_folder


def test_a_new_folder_is_there_whole_or_not_at_all(tmp_path):
    with new_folder(tmp_path / "made") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "made").exists()
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "failed") as folder:
        (folder / "file").write_text(f"{1 / 0}")
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "made") as folder:
        (folder / "other").write_text("y")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["made", "made/file"]


def test_what_a_killed_process_began_goes_after_a_day(tmp_path):
    for name, age in ((".new-old", LEFT_SECONDS + 60), (".new-recent", 60)):
        (tmp_path / name / "half").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with new_folder(tmp_path / "made"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-recent", "made"]
