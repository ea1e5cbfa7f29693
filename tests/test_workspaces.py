"""What is kept of a visitor of a public server, and how much: the parts, without a server."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import time

import pytest

from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.permissions import only_readable
from unifex.data.item import Skipped
from unifex.data.sources import open_source
from unifex.gallery.gallery import GalleryError
from unifex.gallery.library import Library
from unifex.ui.server.quotas import Limits
from unifex.ui.server.rates import Ownership, Rate, Refusal
from unifex.ui.server.visitor_files import SENT, nobody_at
from unifex.ui.server.workspaces import Workspaces


@pytest.fixture
def workspaces(tmp_path):
    limits = Limits(images=3, bytes=10**6, trainings=2, training_seconds=60, seconds=100)
    return Workspaces(Library(tmp_path / "indexes"), limits)


def test_what_nobody_uses_comes_to_its_end(workspaces, embedder):
    kept, ended = (workspaces.of(workspaces.visitor(workspaces.new_token())) for _ in range(2))
    for workspace in (kept, ended):
        workspace.touch()
        workspace.library.get_or_create("g", lambda: embedder)
    long_ago = time.time() - 101
    os.utime(ended.folder / "used", (long_ago, long_ago))
    workspaces.sweep()
    assert (kept.folder.exists(), ended.folder.exists()) == (True, False)
    with pytest.raises(GalleryError, match="was deleted"):
        ended.touch()
    assert workspaces.count() == 1


def test_tokens_are_this_servers_own_and_outlive_a_restart(workspaces, tmp_path):
    token = workspaces.new_token()
    again = Workspaces(Library(tmp_path / "indexes"), workspaces.limits)
    other = Workspaces(Library(tmp_path / "other"), workspaces.limits)
    assert again.visitor(token) == workspaces.visitor(token) != ""
    assert other.visitor(token) == ""
    assert [workspaces.visitor(wrong) for wrong in (None, "", ".", "a.b", token + "0", "é" * 9)] == [""] * 6


@pytest.mark.parametrize("left", [b"", b"half"])
def test_a_key_that_was_not_written_to_its_end_signs_nothing(tmp_path, workspaces, left):
    (workspaces.folder / "key").write_bytes(left)  # as a full disk leaves it
    begun = Workspaces(Library(tmp_path / "indexes"), workspaces.limits)
    signature = hmac.new(left, b"eve", hashlib.sha256).hexdigest()
    assert begun.visitor(f"eve.{signature}") == ""
    again = Workspaces(Library(tmp_path / "indexes"), workspaces.limits)
    assert again.visitor(begun.new_token()) != ""
    assert (begun.folder / "key").stat().st_mode & 0o077 == 0


def test_of_a_library_that_can_only_be_read_visitors_keep_things_elsewhere(tmp_path, workspaces, monkeypatch):
    monkeypatch.setenv("UNIFEX_CACHE", str(tmp_path / "cache"))
    token, tokens = workspaces.new_token(), []
    with only_readable(tmp_path / "indexes"):
        for _ in range(2):
            begun = Workspaces(Library(tmp_path / "indexes"), workspaces.limits)
            begun.begin()
            tokens.append(begun.new_token())
            begun.of(begun.visitor(tokens[0])).touch()
            with begun.files.arriving(begun.visitor(tokens[0])) as arrival:
                assert arrival.folder.is_relative_to(tmp_path / "cache")
            assert (begun.count(), begun.visitor(token)) == (1, "")
    again = Workspaces(Library(tmp_path / "indexes"), workspaces.limits)
    assert again.visitor(token) != again.visitor(tokens[0]) == ""


def test_of_an_upload_nothing_stays(tmp_path, workspaces):
    files = workspaces.files
    for owner in ("f" * 64, nobody_at("192.0.2.1")):
        with files.arriving(owner) as arrival:
            (arrival.folder / "part").write_bytes(b"picture")
            files.keep(arrival.folder / "part", "picture.jpg", owner, SENT)
    files.sweep(1000)
    assert len([*files.folder.glob("*/sent/*/*")]) == 2
    files.sweep(-1)
    assert not [*files.folder.iterdir()]


def test_what_a_killed_server_was_writing_for_visitors_goes_when_the_next_one_begins(tmp_path, workspaces, embedder):
    workspace = workspaces.of(workspaces.visitor(workspaces.new_token()))
    workspace.touch()
    workspace.library.get_or_create("g", lambda: embedder)
    left = ["models/.training/neck.pt.17-4.tmp", ".searches/id.json.17-4.tmp", ".names.json.17-4.tmp", "g/map.17-4.tmp"]
    kept = ["models/.training/neck.pt", "models/.training/notes.tmp", "g/17-4.tmp"]
    for path in (workspace.folder / name for name in (*left, *kept)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    Workspaces(Library(tmp_path / "indexes"), workspaces.limits).begin()
    assert [name for name in (*left, *kept) if (workspace.folder / name).exists()] == kept


def test_trainings_are_counted(workspaces):
    workspace = workspaces.of(workspaces.visitor(workspaces.new_token()))
    workspace.count_training()
    workspace.count_training()
    with pytest.raises(GalleryError, match="trains 2 times"):
        workspace.count_training()
    assert workspace.usage().trainings == 2


def test_an_image_counts_once_however_often_its_source_is_read(workspaces, embedder, tmp_path):
    workspace = workspaces.of(workspaces.visitor(workspaces.new_token()))
    workspace.touch()
    gallery = workspace.library.get_or_create("g", lambda: embedder)
    source = open_source(str(write_folder(tmp_path / "pictures")))
    for _ in range(2):  # all is there already the second time
        with contextlib.closing(workspace.limited(source, gallery)) as limited:
            report = run_index(gallery, limited)
        assert (len(gallery), report.failed[0].reason) == (3, "more than the 3 images of a visitor")
    assert report.skipped == 3


def test_a_source_ends_when_its_owners_data_is_deleted(workspaces, tmp_path):
    visitor = workspaces.visitor(workspaces.new_token())
    workspace = workspaces.of(visitor)
    source = workspace.limited(open_source(str(write_folder(tmp_path / "pictures"))))
    found = list(source)
    assert [isinstance(one, Skipped) for one in found] == [False] * 3 + [True] * 21
    items = iter(source)
    next(items)
    workspaces.forget(visitor)
    with pytest.raises(GalleryError, match="was deleted"):
        next(items)


def test_rates_and_owners_are_bounded():
    rate = Rate(2, 60)
    for _ in range(2):
        rate.check("a", 1, "too many")
    rate.check("b", 2, "too many")
    with pytest.raises(Refusal, match="too many"):
        rate.check("a", 1, "too many")
    quick = Rate(2, 0.2)
    quick.check("a", 2, "too many")
    time.sleep(0.3)
    quick.check("a", 2, "too many")
    owners = Ownership(max_names=2)
    assert owners.claim("x", "anna")
    assert not owners.claim("x", "mallory")
    owners.add("y", "anna")
    owners.add("z", "anna")
    assert list(owners.owners) == ["y", "z"]


def test_a_gallery_of_chosen_images_has_to_fit(tmp_path):
    workspace = Workspaces(Library(tmp_path), Limits(2, 10**6, 1, 1, 1)).of("somebody")
    workspace.check_fits(2, 10)
    for images, size in ((3, 10), (2, 10**7)):
        with pytest.raises(GalleryError, match=r"more than the 2 images or 1\.0 MB"):
            workspace.check_fits(images, size)
