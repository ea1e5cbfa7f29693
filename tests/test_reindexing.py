"""Indexing again: what moved, what is gone, what changed and what cannot be told."""

from __future__ import annotations

import json
import os
import shutil
import time
from itertools import takewhile
from pathlib import Path
from unittest.mock import Mock

import gradio as gr
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from tests.support.galleries import assert_no_orphans, make_model, run_index
from tests.support.reindexing import correct, counts, ids, items, labels, zipped
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.core.jobs import JobError
from unifex.core.progress import Step
from unifex.data import locations
from unifex.data.item import SourceError
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.indexing import Pace, PruneRefused, announce, index
from unifex.gallery.known_items import ByEnd
from unifex.gallery.known_sources import forget
from unifex.gallery.library import Library
from unifex.gallery.writer import Writer
from unifex.ui.components.gallery_sources import KEEP, PRUNE, PRUNE_ALL, GallerySources
from unifex.ui.components.index_jobs import IndexJobs
from unifex.ui.components.item_view import ItemView
from unifex.ui.context import AppContext

# --- what is gone, and what cannot be told ---------------------------------------------------------------------------


def test_an_emptied_folder_is_refused_to_be_pruned(gallery, folder, tmp_path):
    shutil.rmtree(folder)
    with pytest.raises(SourceError, match="does not exist"):
        run_index(gallery, folder, prune=True)
    folder.mkdir()
    assert run_index(gallery, folder).missing == 24
    with pytest.raises(
        PruneRefused, match=r"none of the 24 items .*--prune-all removes the 24 that are gone"
    ) as refusal:
        run_index(gallery, folder, prune=True)
    assert (refusal.value.known, refusal.value.gone) == (24, 24)
    assert (len(gallery), gallery.unfinished()) == (24, [])
    assert run_index(gallery, folder, prune_all=True).removed == 24


def test_prune_all_alone_empties_what_an_emptied_folder_gave(gallery, folder):
    for path in folder.rglob("*.png"):
        path.unlink()
    at = ["--gallery", gallery.name, "--library", str(gallery.folder.parent)]
    assert main(["index", str(folder), "--prune-all", *at]) == 0
    assert len(gallery) == 0


def test_a_gallery_that_is_another_by_now_is_not_written(gallery):
    shutil.rmtree(gallery.folder)
    for _ in range(2):
        with pytest.raises(GalleryError, match="deleted or renamed"), gallery.write():
            pass
    assert not gallery.folder.exists()
    Gallery.create(gallery.folder, gallery.embedder)
    with pytest.raises(GalleryError, match="deleted or renamed"), gallery.write():
        pass


@pytest.mark.parametrize(("left", "removed"), [(12, 12), (11, None)])
def test_half_of_a_source_may_go(gallery, folder, left, removed):
    for path in sorted(folder.rglob("*.png"))[left:]:
        path.unlink()
    if removed is None:
        with pytest.raises(PruneRefused, match="only 11 of the 24"):
            run_index(gallery, folder, prune=True)
    else:
        assert run_index(gallery, folder, prune=True).removed == removed
    assert_no_orphans(gallery)


def test_what_lies_below_an_unreadable_folder_is_not_gone(gallery, folder, monkeypatch):
    (folder / "shapes/disc/0.png").unlink()
    readable = os.scandir

    def scandir(path):
        if Path(path).name == "signs":
            raise OSError(5, "Input/output error")
        return readable(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = run_index(gallery, folder, prune=True)
    assert (report.removed, len(gallery)) == (1, 23)
    assert [refused.path for refused in report.failed] == ["signs"]


def test_a_source_that_goes_midway_is_not_finished(gallery, folder):
    (folder / "shapes/disc/99.png").write_bytes(encoded(picture("shapes/disc", 99)))
    work = index(gallery, str(folder), prune=True, pace=Pace(report_seconds=0.0))
    next(work), next(work)
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    with pytest.raises(SourceError, match="went while it was being indexed"):
        list(work)
    assert gallery.unfinished() == [str(folder)]
    assert len(gallery) >= 24


# --- what moved ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["root", "folder", "file", "across", "archive"])
def test_what_moved_is_the_same_item_with_what_was_said_of_it(tmp_path, folder, embedder, how):
    gallery = Gallery.create(tmp_path / "g", embedder)
    source = zipped(folder, tmp_path / "a.zip") if how == "archive" else folder
    run_index(gallery, source)
    correct(gallery, "shapes/disc/0.png", "ball")
    before = ids(gallery)
    moved, label, domain = 6, "round", "shapes"
    if how == "root":
        source, moved, label = folder.rename(tmp_path / "moved"), 24, "disc"
    elif how == "folder":
        (folder / "shapes/disc").rename(folder / "shapes/round")
    elif how == "file":
        (folder / "shapes/round").mkdir()
        for path in (folder / "shapes/disc").iterdir():
            path.rename(folder / "shapes/round" / f"photo-{path.name}")
    elif how == "across":
        source, domain = tmp_path / "new", ""
        source.mkdir()
        (folder / "shapes/disc").rename(source / "round")
    else:
        (folder / "shapes/disc").rename(folder / "shapes/round")
        zipped(folder, source)
    report = run_index(gallery, source)
    assert (report.moved, report.added, len(gallery), report.missing) == (moved, 0, 24, 0)
    after = items(gallery)
    assert sorted(item for item, *_ in after.values()) == sorted(before.values())
    (said,) = gallery.corrections()
    assert after[said.path] == (before["shapes/disc/0.png"], "shapes", "ball")
    others = [row[1:] for row in after.values() if row[0] in range(before["shapes/disc/1.png"], 7)]
    assert set(others) == {(domain, label)}
    assert report.relabelled == (0 if how == "root" else 6)
    listed = gallery.database.listed_items()
    assert [known.spec for known in gallery.sources() if listed.get(known.id) == len(after)] == (
        [str(source)] if how != "across" else []
    )
    again = run_index(gallery, source, prune=True)
    assert counts(again)[2:] == (0, 0, 0)
    assert_no_orphans(gallery) if how != "archive" else None


def test_a_link_left_in_the_old_place_makes_no_second_item(gallery, folder, tmp_path):
    before = items(gallery)
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    for spelling in (tmp_path / "moved", folder):
        report = run_index(gallery, spelling)
        assert (report.added, len(gallery)) == (0, 24)
    assert items(gallery) == before
    assert [known.spec for known in gallery.sources()] == [str(tmp_path / "moved")]


def test_a_copy_is_no_move(gallery, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    report = run_index(gallery, tmp_path / "copy")
    assert (report.added, report.moved, len(gallery)) == (24, 0, 48)


def test_of_two_copies_the_one_that_moved_is_the_one_that_moved(gallery, folder):
    shutil.copy(folder / "shapes/disc/0.png", folder / "signs/cross/copy.png")
    run_index(gallery, folder)
    correct(gallery, "signs/cross/copy.png", "ball")
    before = ids(gallery)
    (folder / "signs/cross").rename(folder / "signs/plus")
    assert run_index(gallery, folder).moved == 7
    after = items(gallery)
    assert after["signs/plus/copy.png"] == (before["signs/cross/copy.png"], "signs", "ball")
    assert after["shapes/disc/0.png"][::2] == (before["shapes/disc/0.png"], "disc")


def test_files_that_change_names_among_each_other(gallery, folder):
    disc = folder / "shapes/disc"
    correct(gallery, "shapes/disc/0.png", "ball")
    before = ids(gallery)
    for number in reversed(range(6)):
        (disc / f"{number}.png").rename(disc / f"{number + 1}.png")
    (disc / "0.png").write_bytes(encoded(picture("shapes/disc", 99)))
    report = run_index(gallery, folder)
    assert (report.added, report.moved, len(gallery)) == (1, 6, 25)
    after = items(gallery)
    assert [after[f"shapes/disc/{n + 1}.png"][0] for n in range(6)] == [
        before[f"shapes/disc/{n}.png"] for n in range(6)
    ]
    assert [path for path, row in after.items() if row[2] == "ball"] == ["shapes/disc/1.png"]
    assert_no_orphans(gallery)


def test_nothing_has_left_an_emptied_root(gallery, folder, tmp_path):
    folder.rename(tmp_path / "copy")  # the same files, and an empty mount point where they were
    folder.mkdir()
    report = run_index(gallery, tmp_path / "copy")
    assert (report.added, report.moved, len(gallery)) == (24, 0, 48)


def test_what_people_said_is_back_with_the_image(gallery, folder, tmp_path):
    correct(gallery, "shapes/disc/0.png", "ball")
    forget(gallery, str(folder))
    folder.rename(tmp_path / "moved")
    run_index(gallery, tmp_path / "moved")
    assert items(gallery)["shapes/disc/0.png"][2] == "ball"


# --- what changed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{}, {"prune": True}, {"prune_all": True}])
@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_file_that_is_no_image_any_more_is_not_gone(gallery, folder, content, asked):
    """As a broken sync, a placeholder of a cloud and a full disk leave them."""
    correct(gallery, "shapes/disc/0.png", "ball")
    before, files = items(gallery), {path: path.read_bytes() for path in folder.rglob("*.png")}
    for path in files:
        path.write_bytes(content)
    report = run_index(gallery, folder, **asked)
    assert (report.removed, report.missing, len(report.failed)) == (0, 0, 24)
    assert all(refused.reason.endswith("what was indexed there before stays") for refused in report.failed)
    for path, data in files.items():
        path.write_bytes(data)
    assert counts(run_index(gallery, folder)) == (0, 24, 0, 0, 0)
    assert items(gallery) == before


def test_what_has_no_ending_and_is_no_image_any_more_is_not_gone(gallery, folder):
    (folder / "shapes/disc/0.png").rename(folder / "shapes/disc/0")
    run_index(gallery, folder)
    (folder / "shapes/disc/0").write_bytes(b"")
    report = run_index(gallery, folder, prune=True)
    assert (report.removed, len(gallery)) == (0, 24)
    assert [refused.reason for refused in report.failed] == ["not an image; what was indexed there before stays"]


def test_what_moved_is_the_same_item_though_its_old_place_holds_something_else(gallery, folder):
    before = ids(gallery)["shapes/disc/0.png"]
    (folder / "shapes/disc/0.png").rename(folder / "signs/cross/z.png")
    (folder / "shapes/disc/0.png").write_bytes(b"garbage")
    (folder / "shapes/disc/1.png").write_bytes(b"garbage")
    report = run_index(gallery, folder)
    assert report.moved == 1
    assert (ids(gallery)["signs/cross/z.png"], len(gallery)) == (before, 24)
    told = {refused.path: refused.reason for refused in report.failed}  # what has moved does not stay there
    assert told["shapes/disc/1.png"] == f"{told['shapes/disc/0.png']}; what was indexed there before stays"
    assert {refused.path: refused.reason for refused in gallery.database.skipped()} == told


ODD_ROWS = {
    "cut": ("metadata.jsonl", '{"file_name": "b.png", "lab'),
    "label": ("metadata.jsonl", json.dumps({"file_name": "./b.png", "label": "x" * 201})),
    "no name": ("metadata.jsonl", '{"label": "b"}'),
    "label in a table": ("metadata.csv", "b.png," + "x" * 201),
    "too many cells": ("metadata.csv", "b.png,cat,holdout"),
    "too few cells": ("metadata.csv", "b.png"),
    "quotation mark": ("metadata.csv", 'b.png,"cat'),
}


@pytest.mark.parametrize("name", ODD_ROWS)
def test_what_a_row_names_that_cannot_be_read_is_not_gone(tmp_path, embedder, name):
    (kind, odd), folder = ODD_ROWS[name], tmp_path / "pictures"
    folder.mkdir()
    for number, letter in enumerate("abcdef"):
        (folder / f"{letter}.png").write_bytes(encoded(picture("shapes/disc", number)))

    def write(letters: str, more: str = "") -> None:
        lines = [json.dumps({"file_name": f"{one}.png", "label": one}) for one in letters]
        table = ["file_name,label", *(f"{one}.png,{one}" for one in letters)]
        (folder / kind).write_text("\n".join([*(lines if kind.endswith("jsonl") else table), more]))

    write("abcdef")
    gallery = Gallery.create(tmp_path / "indexes" / "listed", embedder)
    run_index(gallery, folder)
    write("acdef", odd)
    report = run_index(gallery, folder, prune=True)
    assert (report.removed, report.relabelled, labels(gallery)["b.png"]) == (0, 0, ("", "b"))
    assert any(refused.reason.endswith("what was indexed there before stays") for refused in report.failed)
    (folder / "b.png").unlink()
    report = run_index(gallery, folder, prune=True)
    assert (report.removed, sorted(items(gallery))) == (1, [f"{one}.png" for one in "acdef"])


def test_what_cannot_be_read_stays_and_says_so(gallery, folder, monkeypatch):
    os.utime(folder / "shapes/disc/0.png", (1, 1))
    read_bytes = Path.read_bytes

    def unreadable(path):
        if path.is_relative_to(folder):
            raise OSError(5, "Input/output error")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    report = run_index(gallery, folder, prune=True)
    assert [refused.reason for refused in report.failed] == [
        "cannot be read (Input/output error); what was indexed there before stays"
    ]
    assert (report.removed, len(gallery)) == (0, 24)


def test_what_a_list_names_and_nobody_can_look_at_is_not_gone(folder, tmp_path, embedder):
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    (folder / "list.csv").write_text("path\n" + "".join(f"{path}\n" for path in paths))
    gallery = Gallery.create(tmp_path / "indexes" / "listed", embedder)
    assert run_index(gallery, folder / "list.csv").added == 24
    (folder / "shapes/disc").rename(tmp_path / "elsewhere")
    (folder / "shapes/disc").symlink_to("disc")  # a link to itself: what lies below it cannot be told
    report = run_index(gallery, folder / "list.csv", prune=True)
    assert report.failed
    assert (report.removed, len(gallery)) == (0, 24)


def test_rehash_sees_what_size_and_time_do_not_tell(gallery, folder):
    path = folder / "shapes/disc/same.bmp"
    path.write_bytes(encoded(picture("shapes/disc", 90), "BMP"))
    run_index(gallery, folder)
    before, status = gallery.item_at("shapes/disc/same.bmp").sha256, path.stat()
    path.write_bytes(encoded(picture("shapes/disc", 91), "BMP"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(run_index(gallery, folder)) == (0, 25, 0, 0, 0)
    assert counts(run_index(gallery, folder, rehash=True)) == (1, 24, 0, 0, 0)
    assert gallery.item_at("shapes/disc/same.bmp").sha256 != before


def test_the_large_view_says_that_a_file_changed(gallery, folder):
    view = ItemView(AppContext(Settings(), Library(gallery.folder.parent), gallery.embedder))
    with gr.Blocks():
        view.build()
    record = gallery.item_at("shapes/disc/0.png")
    opened = lambda: view.open(json.dumps(["drawn", record.id]))[view.told]  # noqa: E731
    assert "shapes/disc/0.png" in opened()
    assert "no longer" not in opened()
    shutil.copy(folder / "signs/cross/0.png", folder / "shapes/disc/0.png")
    assert "the image file changed since; index it again (shapes/disc/0.png)" in opened()
    Path(record.uri).unlink()
    assert "the image file is no longer there" in opened()


# --- another neck ----------------------------------------------------------------------------------------------------


def test_only_use_moves_a_gallery_to_another_neck(gallery, folder, embedder):
    other = make_model(embedder, "random")
    visited = Gallery.open(gallery.folder, other)
    before = {path: path.read_bytes() for path in gallery.folder.glob("*.*") if "items" not in path.name}
    with visited.write():
        pass
    assert len(visited.snapshot()) == 24
    assert run_index(visited, folder).skipped == 24
    list(visited.find_neighbours())
    assert {path: path.read_bytes() for path in before} == before
    assert not (gallery.folder / "neighbours.npz").exists()
    assert Gallery.open(gallery.folder).config.model == "unifex-lite-4"


@pytest.mark.parametrize("flat", [True, False])
def test_a_copy_of_a_few_takes_nothing_from_a_disk_that_is_away(gallery, folder, tmp_path, flat):
    correct(gallery, "shapes/disc/0.png", "mine")
    before = items(gallery)
    for number, path in enumerate(sorted(folder.rglob("*.png"))[:3]):
        copy = tmp_path / "copies" / (f"{number}.png" if flat else path.relative_to(folder))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    folder.rename(tmp_path / "unplugged")
    assert counts(run_index(gallery, tmp_path / "copies"))[::2] == (3, 0, 0)
    (tmp_path / "unplugged").rename(folder)
    assert counts(run_index(gallery, folder)) == (0, 24, 0, 0, 0)
    with gallery.database.connect() as connection:
        at = "SELECT path, id, domain, label FROM shown WHERE uri LIKE ?"
        assert {path: rest for path, *rest in connection.execute(at, (f"{folder.as_posix()}/%",))} == {
            path: list(said) for path, said in before.items()
        }


@pytest.mark.parametrize("where", ["folder", "part", "zip"])
def test_what_went_as_a_whole_is_the_same_wherever_it_is_now(gallery, folder, tmp_path, where):
    before = ids(gallery)
    if where == "zip":
        there = zipped(folder, tmp_path / "packed.zip")
        shutil.rmtree(folder)
    else:
        there = folder.rename(tmp_path / "new-disk")
    part = there / "shapes" if where == "part" else there
    moved = sum(path.startswith("shapes/") for path in before) if where == "part" else len(before)
    assert counts(run_index(gallery, part))[:3] == (0, 0, moved)
    assert set(ids(gallery).values()) == set(before.values())


@pytest.mark.parametrize("how", ["apart", "subfolders renamed", "flattened", "renamed", "some changed"])
def test_what_went_is_the_same_in_whatever_form_it_is_found(folder, tmp_path, embedder, how):
    gallery = Gallery.create(tmp_path / "indexes" / "drawn", embedder)
    small, large = sorted((folder / name for name in ("shapes", "signs")), key=lambda part: len([*part.rglob("*.png")]))
    for path in sorted(small.rglob("*.png"))[3:]:
        path.unlink()
    for part in (small, large):
        run_index(gallery, part)
    before = ids(gallery)
    there = tmp_path / "there"
    for part in (small, large):
        for number, path in enumerate(sorted(part.rglob("*.png"))):
            names = {
                "apart": Path(path.relative_to(part)),
                "subfolders renamed": Path(f"of {path.parent.name}", path.name),
                "flattened": Path(f"{path.parent.name} {path.name}"),
                "renamed": Path(path.parent.name, f"{number:03d}.png"),
                "some changed": Path(f"{number:03d}.png"),
            }
            to = there / f"new {part.name}" / names[how]
            to.parent.mkdir(parents=True, exist_ok=True)
            path.rename(to)
    if how == "some changed":
        (there / f"new {large.name}" / "000.png").write_bytes(encoded(picture("shapes/disc", 77)))
    shutil.rmtree(folder)
    changed = how == "some changed"
    with gallery.write() as writer:
        writer.tag(list(before.values()), ["mine"])
    assert counts(run_index(gallery, there / f"new {small.name}"))[:3] == (0, 0, 3)
    assert counts(run_index(gallery, there / f"new {large.name}"))[:3] == (changed, 0, len(before) - 3 - changed)
    with gallery.database.connect() as connection:
        at = "SELECT items.id FROM items JOIN tags ON tags.item = items.id WHERE uri LIKE ?"
        found = {item for (item,) in connection.execute(at, (f"{there.as_posix()}/%",))}
    assert len(found & set(before.values())) == len(before) - changed
    assert len(gallery.sources()) == 2 + changed  # which another one has whole is forgotten


def test_what_went_is_the_same_when_finding_it_is_stopped_and_gone_on_with(gallery, folder, tmp_path):
    before = ids(gallery)
    (there := tmp_path / "there").mkdir()
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(there / f"{number:03d}.png")
    shutil.rmtree(folder)
    pace = Pace(commit_images=1, report_seconds=0, window_images=1)
    looking = index(gallery, str(there), pace=pace)
    while sum(uri.startswith(str(there)) for uri in uris(gallery)) < 16:
        next(looking)
    looking.close()
    run_index(gallery, there)
    assert sum(uri.startswith(str(there)) and item in before.values() for uri, item in uris(gallery).items()) == 24


def uris(gallery: Gallery) -> dict[str, int]:
    with gallery.database.connect() as connection:
        return dict(connection.execute("SELECT uri, id FROM items"))


def test_a_source_that_waits_for_its_turn_is_remembered_while_its_disk_is_away(gallery, folder, tmp_path):
    shutil.copytree(folder / "shapes" / "disc", tmp_path / "usb")
    announce(gallery, open_source(str(tmp_path / "usb")))
    (tmp_path / "usb").rename(tmp_path / "unplugged")
    (folder / "shapes/disc/0.png").rename(folder / "moved.png")
    assert run_index(gallery, folder).moved == 1
    assert gallery.unfinished() == [str(tmp_path / "usb")]


def served(gallery: Gallery) -> AppContext:
    library = Library(gallery.folder.parent)
    context = AppContext(Settings(library=library.folder), library, gallery.embedder)
    context.ready.set()
    return context


def endless():
    while True:
        time.sleep(0.01)
        yield Step("indexing")


def test_looking_again_in_another_way_is_refused_and_forgotten_while_one_waits(gallery, folder):
    (folder / "shapes/disc/0.png").unlink()
    context, source = served(gallery), gallery.sources()[0].id
    context.start("index", "another", endless())
    GallerySources(context).look_again(gallery.name, source, KEEP, False)
    GallerySources(context).look_again(gallery.name, source, KEEP, False)  # is the same
    with pytest.raises(JobError, match="other options"):
        GallerySources(context).look_again(gallery.name, source, PRUNE_ALL, False)
    assert not gallery.sources()[0].asked.prunes
    assert len(context.jobs.of(context.owner)) == 2
    context.close()


def test_looking_at_an_emptied_folder_that_waited_as_the_server_ended_is_resumed(gallery, folder):
    shutil.rmtree(folder)
    folder.mkdir()
    ending = served(gallery)
    ending.start("index", "another", endless())
    GallerySources(ending).look_again(gallery.name, gallery.sources()[0].id, KEEP, False)
    ending.close()
    begun = served(gallery)
    assert IndexJobs(begun).resume(gallery.name).finished.wait(60)
    assert (gallery.sources()[0].complete, len(gallery)) == (True, 24)
    begun.close()


def test_looking_again_that_waits_for_its_turn_as_the_server_ends_is_resumed_as_it_was_asked_for(gallery, folder):
    (folder / "shapes/disc/0.png").unlink()
    ending = served(gallery)
    ending.start("index", "another", endless())
    GallerySources(ending).look_again(gallery.name, gallery.sources()[0].id, PRUNE, False)
    ending.close()
    assert len(gallery) == 24
    begun = served(gallery)
    job = IndexJobs(begun).resume(gallery.name)
    assert job.finished.wait(60)
    assert (job.result.removed, len(gallery)) == (1, 23)
    begun.close()


@pytest.mark.parametrize("left", ["nothing", "no image"])
def test_a_source_that_has_no_image_any_more_can_be_looked_at_again(gallery, folder, left):
    shutil.rmtree(folder)
    folder.mkdir()
    if left == "no image":
        (folder / "broken.png").write_bytes(b"no image")
    context = served(gallery)
    GallerySources(context).look_again(gallery.name, gallery.sources()[0].id, KEEP, False)
    job = context.jobs.of(context.owner)[-1]
    assert job.finished.wait(60)
    assert (job.result.missing, len(gallery)) == (24, 24)
    context.close()


@pytest.mark.parametrize("gone", ["prune", "prune all"])
def test_what_is_resumed_does_what_was_asked_for(gallery, folder, gone):
    (folder / "shapes/disc/0.png").unlink()
    changed = folder / "shapes/disc/1.png"
    status, data = changed.stat(), encoded(picture("signs/cross", 99))
    changed.write_bytes(data.ljust(status.st_size, b"\0")[: max(status.st_size, len(data))])
    stamp = f"{changed.stat().st_size}-{status.st_mtime_ns}"
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    with gallery.database.connect() as connection:
        connection.execute("UPDATE items SET stamp = ? WHERE path = 'shapes/disc/1.png'", (stamp,))
    context = served(gallery)
    looking = index(gallery, str(folder), gone == "prune", gone == "prune all", True)
    next(looking)
    looking.close()  # cancelled
    job = IndexJobs(context).resume(gallery.name)
    assert job.finished.wait(60)
    assert (job.result.removed, job.result.added, gallery.unfinished()) == (1, 1, [])
    assert "asked" not in gallery.sources()[0].options
    context.close()


def test_what_was_asked_is_known_until_it_is_done(gallery, folder, monkeypatch):
    (folder / "shapes/disc/0.png").unlink()
    with monkeypatch.context() as stopped:
        stopped.setattr(Writer, "unlist", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_index(gallery, folder, prune=True)
    assert gallery.unfinished() == [str(folder)]
    assert gallery.sources()[0].asked.prune
    assert run_index(gallery, folder, prune=True).removed == 1
    assert (gallery.unfinished(), gallery.sources()[0].asked.prune) == ([], False)


def test_thousands_of_equal_files_that_moved_are_told_apart_by_their_names(tmp_path, embedder, monkeypatch):
    """Each is looked at once, and neither a folder nor files that are called otherwise now are taken for new."""
    count, blank = 300, encoded(picture("shapes/disc", 0))
    for number in range(count):
        (tmp_path / f"a/{number}").mkdir(parents=True)
        (tmp_path / f"a/{number}/blank.png").write_bytes(blank)
    gallery = Gallery.create(tmp_path / "indexes/blanks", embedder)
    run_index(gallery, tmp_path / "a")
    before, looked = ids(gallery), []
    look = locations.look_at_file
    monkeypatch.setattr(locations, "look_at_file", lambda *place: looked.append(place) or look(*place))
    (tmp_path / "a").rename(tmp_path / "b")
    assert counts(run_index(gallery, tmp_path / "b")) == (0, 0, count, 0, 0)
    assert ids(gallery) == before
    assert len(looked) <= 2 * count
    looked.clear()
    for number in range(count):
        (tmp_path / f"b/{number}/blank.png").rename(tmp_path / f"b/{number}/{number}.png")
    assert counts(run_index(gallery, tmp_path / "b")) == (0, 0, count, 0, 0)
    ids_by_folder = [{Path(path).parent.name: id for path, id in of.items()} for of in (ids(gallery), before)]
    assert ids_by_folder[0] == ids_by_folder[1]
    assert len(looked) <= 2 * count


PLACES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@settings(deadline=None)
@given(st.lists(PLACES, max_size=8), PLACES, st.sets(st.integers(0, 7)))
def test_of_equal_items_the_one_with_most_names_in_common_comes_first(places, wanted, found):
    items = [Mock(id=id, uri=place) for id, place in enumerate(places)]
    by_end = ByEnd(items, lambda item: item.uri, items)

    def in_common(item: Mock) -> int:
        pairs = zip(reversed(item.uri.split("/")), reversed(wanted.split("/")))
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    left = [item for item in items if item.id not in found]
    for _ in range(2):  # what is found is dropped at the first look
        assert next(by_end.likest_first(wanted, found), None) is max(left, key=in_common, default=None)
