"""Indexing again: what moved, what is gone, what cannot be told, and who has a say in labels."""

import json
import os
import shutil
import sqlite3
import zipfile
from pathlib import Path

import gradio as gr
import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import assert_no_orphans, make_model, run_index
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.data import locations
from unifex.data.item import SourceError
from unifex.gallery import bundle, corrections
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.indexing import Pace, PruneRefused, forget, index, relocate
from unifex.gallery.library import Library
from unifex.ui.components.item_view import ItemView
from unifex.ui.context import AppContext


def items(gallery: Gallery) -> dict[str, tuple[int, str, str]]:
    """path -> (id, domain, label)"""
    with gallery.database.connect() as database:
        rows = database.execute("SELECT path, id, domain, label FROM shown").fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {path: (item, domain, label) for path, item, domain, label in rows}


def labels(gallery: Gallery) -> dict[str, tuple[str, str]]:
    return {path: row[1:] for path, row in items(gallery).items()}


def ids(gallery: Gallery) -> dict[str, int]:
    return {path: row[0] for path, row in items(gallery).items()}


def counts(report) -> tuple[int, int, int, int, int]:
    return report.added, report.skipped, report.moved, report.relabelled, report.removed


def correct(gallery: Gallery, path: str, label: str) -> None:
    with gallery.write() as writer:
        writer.correct([corrections.relabel(gallery.item_at(path), label)])


def zipped(root: Path, to: Path) -> Path:
    with zipfile.ZipFile(to, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, path.relative_to(root).as_posix())
    return to


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
    assert len(gallery) == 24
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
    assert [known.spec for known in gallery.sources() if known.items == len(after)] == (
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


# --- who has a say ---------------------------------------------------------------------------------------------------

PARTS = ["shapes", "shapes/disc", "shapes/disc/0.png", "deep", "deep/cars", "deep/cars/audi", "deep/cars/audi/a4"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["path", "zip"])
def test_a_part_takes_no_label_from_the_whole(tmp_path, folder, embedder, part, how):
    deep = folder / "deep/cars/audi/a4"
    deep.mkdir(parents=True)
    (deep / "1.png").write_bytes(encoded(picture("shapes/disc", 70)))
    whole = Gallery.create(tmp_path / "whole", embedder)
    run_index(whole, folder)
    before = labels(whole)
    source = folder / part
    if how == "zip":
        source = zipped(source, tmp_path / "part.zip") if source.is_dir() else source
    report = run_index(whole, source)
    assert counts(report)[::2] == (0, 0, 0)
    assert report.relabelled == 0
    assert labels(whole) == before
    reverse = Gallery.create(tmp_path / "reverse", embedder)
    run_index(reverse, source)
    report = run_index(reverse, folder)
    if how == "path":  # a zip and the folder of it are two places
        assert labels(reverse) == before
        assert report.relabelled == report.skipped
        run_index(reverse, source)
        assert labels(reverse) == before


def test_a_zip_of_a_part_first_and_of_the_whole_later(tmp_path, folder, embedder):
    gallery = Gallery.create(tmp_path / "g", embedder)
    run_index(gallery, zipped(folder / "shapes", tmp_path / "part.zip"))
    report = run_index(gallery, zipped(folder, tmp_path / "whole.zip"))
    assert (report.added, report.skipped, report.relabelled) == (12, 12, 12)
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "disc")


def test_a_list_and_a_folder_each_say_what_they_know(gallery, folder):
    table = folder / "list.csv"
    table.write_text("path,label\nshapes/disc/0.png,ball\nshapes/disc/1.png,\n")
    assert run_index(gallery, table).relabelled == 1
    for _ in range(2):  # indexing the folder again does not take it back
        found = labels(gallery)
        assert (found["shapes/disc/0.png"], found["shapes/disc/1.png"]) == (("shapes", "ball"), ("shapes", "disc"))
        assert run_index(gallery, folder).relabelled == 0
    table.write_text("path,label\nshapes/disc/0.png,\nshapes/disc/1.png,moon\n")
    assert run_index(gallery, table).relabelled == 2
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "disc")
    assert forget(gallery, str(table)) == 0
    assert labels(gallery)["shapes/disc/1.png"] == ("shapes", "disc")


def further(gallery: Gallery) -> dict[str, dict[str, str]]:
    """Further columns by path, of the items that have some."""
    records = gallery.records(gallery.snapshot().columns.ids)
    return {record.path: dict(record.labels.extra) for record in records if record.labels.extra}


def test_further_columns_come_from_every_list_and_stay_with_the_item(gallery, folder, tmp_path):
    ours, theirs = folder / "list.csv", folder / "prices.csv"
    ours.write_text("path,taken by,year\nshapes/disc/0.png,Ann,1999\nshapes/disc/1.png,,\n")
    theirs.write_text("path,price,year\nshapes/disc/0.png,7,\n")
    reports = [run_index(gallery, place) for place in (ours, theirs, folder)]
    assert [report.relabelled for report in reports] == [0, 0, 0]  # labels are the same
    both = {"shapes/disc/0.png": {"taken by": "Ann", "year": "1999", "price": "7"}}
    assert further(gallery) == both
    (folder / "shapes").rename(folder / "forms")
    run_index(gallery, folder)
    assert further(gallery) == {"forms/disc/0.png": both["shapes/disc/0.png"]}
    forget(gallery, str(ours))
    assert further(gallery) == {"forms/disc/0.png": {"price": "7"}}
    list(bundle.pack(gallery, tmp_path / "packed.zip"))
    list(bundle.unpack(tmp_path / "packed.zip", "unpacked", Library(tmp_path / "other")))
    assert further(Gallery.open(tmp_path / "other" / "unpacked")) == {"forms/disc/0.png": {"price": "7"}}


def test_a_changed_file_keeps_what_a_list_said_of_it(gallery, folder):
    (folder / "list.csv").write_text("path,label\nshapes/disc/0.png,ball\n")
    run_index(gallery, folder / "list.csv")
    (folder / "shapes/disc/0.png").write_bytes(encoded(picture("shapes/disc", 90)))
    assert run_index(gallery, folder).added == 1
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "ball")


def test_a_list_that_moved_is_one_source(gallery, folder, tmp_path):
    (folder / "list.csv").write_text("path,label\nshapes/disc/0.png,ball\n")
    run_index(gallery, folder / "list.csv")
    folder.rename(tmp_path / "moved")
    assert run_index(gallery, tmp_path / "moved").moved == 24
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "ball")  # until its list is found, what it said holds
    (tmp_path / "moved/list.csv").write_text("path,label\nshapes/disc/0.png,\n")
    assert run_index(gallery, tmp_path / "moved/list.csv").relabelled == 1
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "disc")
    assert [Path(known.spec).name for known in gallery.sources()] == ["moved", "list.csv"]


def test_a_zip_of_what_is_there_changes_no_name(gallery, folder, tmp_path):
    before = items(gallery)
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder.parent).as_posix())
    assert counts(run_index(gallery, tmp_path / "whole.zip")) == (0, 24, 0, 0, 0)
    assert items(gallery) == before


# --- what changed ----------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_image_any_more_is_no_item(gallery, folder):
    (folder / "shapes/disc/0.png").write_bytes(b"garbage" * 100)
    report = run_index(gallery, folder)
    assert [refused.path for refused in report.failed] == ["shapes/disc/0.png"]
    assert (report.removed, len(gallery)) == (1, 23)
    assert_no_orphans(gallery)


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


# --- one source, however it is written -------------------------------------------------------------------------------


def test_a_source_is_one_however_its_path_is_written(gallery, folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spelling in (f"{folder}/", "pictures", "./pictures/", "~/pictures", "link", f"{folder}/../pictures"):
        assert run_index(gallery, spelling).skipped == 24
        assert locations.known_as(spelling, [str(folder)]) == str(folder)
    monkeypatch.setattr(os.path, "samefile", lambda a, b: str(a).casefold() == str(b).casefold())
    assert locations.known_as(str(folder).upper(), [str(folder)]) == str(folder)
    assert [known.spec for known in gallery.sources()] == [str(folder)]


# --- forget and relocate ---------------------------------------------------------------------------------------------


def test_forget_keeps_what_another_source_has(gallery, folder):
    run_index(gallery, folder / "shapes")
    assert forget(gallery, f"{folder}/") == 12
    assert labels(gallery)["shapes/disc/0.png" if "shapes/disc/0.png" in labels(gallery) else "disc/0.png"] == (
        "",
        "disc",
    )
    for unknown in (str(folder), "~nobody-here/x", "hf:a/b", "a\0b"):
        with pytest.raises(GalleryError, match=r"not indexed from '.*' \(but from '.*shapes'\)"):
            forget(gallery, unknown)
    assert_no_orphans(gallery)


def test_relocate_takes_what_was_indexed_there_to_the_new_place(gallery, folder, tmp_path, capsys):
    correct(gallery, "shapes/disc/0.png", "ball")
    before = items(gallery)
    with pytest.raises(GalleryError, match="nothing of"):
        relocate(gallery, str(folder), str(tmp_path / "nowhere"))
    with pytest.raises(GalleryError, match="has nothing from"):
        relocate(gallery, str(tmp_path / "nowhere"), str(tmp_path))
    shutil.copytree(folder, tmp_path / "disk/pictures")
    run_index(gallery, tmp_path / "disk/pictures")  # indexed there before anybody thought of it
    shutil.rmtree(folder)
    arguments = ["relocate", str(folder), str(tmp_path / "disk/pictures"), "--gallery", "drawn"]
    assert main([*arguments, "--library", str(gallery.folder.parent), "--json"]) == 0
    assert '"items": 24, "joined": 24' in capsys.readouterr().out
    assert items(gallery) == before
    assert [known.spec for known in gallery.sources()] == [str(tmp_path / "disk/pictures")]
    assert counts(run_index(gallery, tmp_path / "disk/pictures", prune=True)) == (0, 24, 0, 0, 0)
    relocate(gallery, str(tmp_path / "disk"), str((tmp_path / "disk").rename(tmp_path / "other")))
    assert counts(run_index(gallery, tmp_path / "other/pictures", prune=True)) == (0, 24, 0, 0, 0)
    assert (
        main(
            ["forget", str(tmp_path / "other/pictures"), "--gallery", "drawn", "--library", str(gallery.folder.parent)]
        )
        == 0
    )
    assert len(gallery) == 0


# --- galleries of earlier versions -----------------------------------------------------------------------------------

FIRST_TABLES = """
CREATE TABLE state (version INTEGER NOT NULL);
CREATE TABLE sources (
    id INTEGER PRIMARY KEY, spec TEXT UNIQUE NOT NULL, keep INTEGER NOT NULL, complete INTEGER NOT NULL);
CREATE TABLE shards (id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL);
CREATE TABLE features (
    sha256 TEXT PRIMARY KEY, shard INTEGER NOT NULL, row INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL, original TEXT) WITHOUT ROWID;
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT UNIQUE NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    label TEXT NOT NULL, domain TEXT NOT NULL, split TEXT NOT NULL, stamp TEXT NOT NULL, source INTEGER NOT NULL);
CREATE TABLE refused (
    source INTEGER NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
"""


def as_of_the_first_version(gallery: Gallery) -> bytes:
    """Its items.sqlite as the first version would have written it."""
    path = gallery.folder / "items.sqlite"
    old = path.with_name("old")
    with sqlite3.connect(old) as database:
        database.executescript(FIRST_TABLES)
        database.execute("ATTACH ? AS now", (str(path),))
        for table in ("state", "sources", "shards", "features", "items", "refused"):
            columns = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            database.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
    database.close()
    old.replace(path)
    (gallery.folder / "items.json").unlink()
    return path.read_bytes()


def test_a_gallery_of_the_first_version_is_read_as_it_is_and_written_as_it_should_be(gallery, folder, embedder):
    before, facts = items(gallery), gallery.facts()
    old = as_of_the_first_version(gallery)
    opened = Gallery.open(gallery.folder)
    assert items(opened) == before
    assert opened.facts() == facts.__class__(**{**facts.__dict__, "bytes": opened.facts().bytes})
    assert opened.facts().bytes == sum(path.stat().st_size for path in gallery.folder.rglob("*") if path.is_file())
    assert [known.items for known in opened.sources()] == [24]
    assert len(opened.snapshot()) == 24
    assert opened.corrections() == []
    assert (gallery.folder / "items.sqlite").read_bytes() == old
    (folder / "shapes").rename(folder / "forms")
    reader = Gallery.open(gallery.folder)
    report = run_index(opened, folder, prune=True)
    assert (report.moved, report.relabelled, report.skipped, report.added) == (12, 12, 12, 0)
    assert items(reader)["forms/disc/0.png"] == (before["shapes/disc/0.png"][0], "forms", "disc")
    assert opened.facts().bytes == sum(path.stat().st_size for path in gallery.folder.rglob("*") if path.is_file())
    assert_no_orphans(opened)


def test_places_that_the_first_version_named_by_a_detour_are_not_indexed_twice(tmp_path, folder, embedder):
    table = tmp_path / "sets" / "list.csv"
    table.parent.mkdir()
    table.write_text("path,label\n../pictures/shapes/disc/0.png,disc\n")
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, table)
    as_of_the_first_version(gallery)
    with sqlite3.connect(gallery.folder / "items.sqlite") as database:
        database.execute("UPDATE items SET uri = ?", (f"{table.parent}/../pictures/shapes/disc/0.png",))
    database.close()
    report = run_index(Gallery.open(gallery.folder), table)
    assert (report.added, report.skipped, report.items) == (0, 1, 1)


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
    assert Gallery.open(gallery.folder).config.model == "unifex-lite"
