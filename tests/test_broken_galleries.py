"""One gallery that is broken, in any way: it says so, the others work as ever, and it can be deleted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import drawing
from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.core.errors import UnifexError
from unifex.core.files import verify, with_checksum
from unifex.data.demo import Demo
from unifex.gallery.gallery import Facts, Gallery
from unifex.gallery.library import Broken, Library
from unifex.retrieval.facets import facets
from unifex.retrieval.search import search
from unifex.ui.context import DEMO_GALLERY, AppContext


def configured(**changes: object):
    def break_it(folder: Path) -> None:
        values = verify((folder / "gallery.json").read_bytes()) | changes
        (folder / "gallery.json").write_bytes(with_checksum(values))

    return break_it


def without_tables(folder: Path) -> None:
    (folder / "items.json").unlink()
    (folder / "items.sqlite").unlink()
    with closing(sqlite3.connect(folder / "items.sqlite")) as database:
        database.execute("CREATE TABLE state (version INTEGER NOT NULL)")


def with_a_domain_of_bytes(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "items.sqlite")) as database, database:
        database.execute("UPDATE items SET domain = x'00' WHERE id = 1")


def with_a_folder_for_a_file(folder: Path) -> None:
    (folder / "gallery.json").unlink()
    (folder / "gallery.json").mkdir()


UNREACHABLE = configured(store="milvus:http://127.0.0.1:1", collection="unifex_" + "0" * 32)
DAMAGES = {  # and whether even the number of its items cannot be told
    "configuration cut off": (lambda f: (f / "gallery.json").write_text("{"), True),
    "no configuration": (lambda f: (f / "gallery.json").unlink(), True),
    "a folder for a file": (with_a_folder_for_a_file, True),
    "another format": (configured(schema=9), True),
    "text for a number": (configured(dim="x"), True),
    "a collection of others": (configured(store="milvus:http://127.0.0.1:1", collection=""), True),
    "no items": (lambda f: (f / "items.sqlite").unlink(), True),
    "items cut off": (lambda f: (f / "items.sqlite").write_bytes((f / "items.sqlite").read_bytes()[:3000]), True),
    "items of text": (lambda f: (f / "items.sqlite").write_text("not a database " * 999), True),
    "items without tables": (without_tables, True),
    "a domain of bytes": (with_a_domain_of_bytes, False),
    "a model that is not there": (configured(model="gone"), False),
    "features that are lost": (lambda f: [shutil.rmtree(f / "features"), (f / "ids.rows").unlink()], False),
    "a store that does not answer": (UNREACHABLE, False),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory, embedder) -> Path:
    """A folder of two sound galleries."""
    root = tmp_path_factory.mktemp("galleries")
    drawing.write_folder(root / "pictures", 1)
    for name in ("a", "b"):
        run_index(Gallery.create(root / "indexes" / name, embedder), root / "pictures")
    return root


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_gallery_hides_no_other_and_can_be_deleted(sound, embedder, tmp_path, capsys, damage):
    folder = Path(shutil.copytree(sound / "indexes", tmp_path / "indexes"))
    break_it, cannot_tell = DAMAGES[damage]
    break_it(folder / "a")
    library = Library(folder)
    assert library.names() == ["a", "b"]
    first, second = library.survey(Gallery.facts)
    assert isinstance(second, Facts)
    if cannot_tell or damage == "a domain of bytes":
        assert isinstance(first, Broken)
        assert first.name == "a"
        assert len(first.problem) > 20
        assert str(tmp_path) not in first.problem
    context = AppContext(Settings(library=folder), library, embedder)
    assert context.first_gallery() == ("b" if cannot_tell else "a")
    assert context.interrupted() == []
    context._prepare()
    assert "preparing" not in context.state
    assert search(library.get("b"), [drawing.picture("signs/cross", 0)], 4).hits
    assert main(["galleries", "--library", str(folder), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["galleries"]
    assert [found["name"] for found in listed] == ["a", "b"]
    assert main(["index", str(sound / "pictures"), "--gallery", "c", "--library", str(folder), "--json"]) == 0
    assert context.can_change("a")
    library.delete("a")
    assert library.names() == ["b", "c"]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".deleted")] == []


def test_a_gallery_made_anew_where_a_broken_one_was(sound, embedder, tmp_path):
    folder = Path(shutil.copytree(sound / "indexes", tmp_path / "indexes"))
    (folder / "a" / "gallery.json").unlink()
    library = Library(folder)
    with pytest.raises(Exception, match=r"lost its gallery\.json; .* delete its folder"):
        library.get_or_create("a", lambda: embedder)
    library.delete("a")
    assert len(library.get_or_create("a", lambda: embedder)) == 0


ITEMS = {
    "lost": (lambda path: path.unlink(), "gallery 'a' has lost its items.sqlite; "),
    "empty": (lambda path: path.write_bytes(b""), "gallery 'a': items.sqlite is damaged; "),
    "cut in half": (lambda path: os.truncate(path, path.stat().st_size // 2), "gallery 'a': items.sqlite is damaged; "),
    "of noise": (lambda path: path.write_bytes(os.urandom(9000)), "gallery 'a': items.sqlite is damaged; "),
}
REMEDY = "index its images again under another name"


@pytest.mark.parametrize("damage", ITEMS)
def test_every_command_says_the_same_of_a_gallery_without_its_items_and_how_it_is_mended(
    sound, tmp_path, capsys, damage
):
    folder = Path(shutil.copytree(sound / "indexes", tmp_path / "indexes"))
    break_it, cause = ITEMS[damage]
    break_it(folder / "a" / "items.sqlite")
    pictures, out = str(sound / "pictures"), str(tmp_path / "out")
    picture = str(next((sound / "pictures").rglob("*.png")))
    commands = ["info a", "index PICTURES --gallery a", "search PICTURE --gallery a", "tag a", "remove a x", "pack a"]
    commands += ["export-gallery a --to csv", "evaluate --gallery a", "duplicates --gallery a", "correct a"]
    for command in commands * 2:  # no command makes another say something else
        words = [{"PICTURES": pictures, "PICTURE": picture}.get(word, word) for word in command.split()]
        words += ["--out", out] if words[0] in ("pack", "export-gallery") else []
        assert main([*words, "--library", str(folder)]) == 1
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith(f"unifex: {cause}{REMEDY}"), command
    (broken,) = (found for found in Library(folder).survey(Gallery.facts) if isinstance(found, Broken))
    assert broken.problem.startswith(cause + REMEDY)
    assert main(["index", pictures, "--gallery", "another", "--library", str(folder)]) == 0
    shutil.rmtree(folder / "a")
    assert main(["index", pictures, "--gallery", "a", "--library", str(folder)]) == 0


READS = {
    "records": lambda gallery, record: gallery.records([record.id]),
    "a thumbnail": lambda gallery, record: gallery.thumbnail(record.sha256),
    "features": lambda gallery, record: gallery.features([record.sha256]),
    "a table of features": lambda gallery, record: gallery.feature_table([record.sha256])[:1],
    "a snapshot": lambda gallery, record: gallery.snapshot(),
    "an index": lambda gallery, record: gallery.index(),
    "hits": lambda gallery, record: search(gallery, [drawing.picture("signs/cross", 0)], 4),
    "neighbours": lambda gallery, record: gallery.neighbours(),
    "facts": lambda gallery, record: gallery.facts(),
    "facets": lambda gallery, record: facets(gallery),
    "tags": lambda gallery, record: gallery.tags(),
    "sources": lambda gallery, record: gallery.sources(),
    "a writer": lambda gallery, record: run_index(gallery, Path(record.uri).parent),
}


@pytest.mark.parametrize("read", READS)
def test_a_gallery_that_was_deleted_while_it_was_looked_at_says_so(sound, tmp_path, read):
    library = Library(Path(shutil.copytree(sound / "indexes", tmp_path / "indexes")))
    opened = library.get("a")
    record = opened.records(opened.snapshot().columns.ids[:1])[0]
    library.delete("a")
    with contextlib.suppress(UnifexError, OSError):  # nothing else; what is in memory still may be given
        READS[read](opened, record)
    with pytest.raises(UnifexError, match="not there any more"):
        opened.records([record.id])
    assert library.names() == ["b"]
    assert not opened.folder.exists()


@pytest.mark.parametrize(("cut_off", "drawn"), [("before it was begun", True), ("midway", True), ("", False)])
def test_a_demo_whose_first_start_was_ended_goes_on_at_the_next(demo, tmp_path, embedder, cut_off, drawn):
    library = Library(tmp_path / "indexes")
    if cut_off == "before it was begun":
        library.get_or_create(DEMO_GALLERY, lambda: embedder)
    else:
        shutil.copytree(demo, library.folder)
    if cut_off == "midway":
        with library.get(DEMO_GALLERY).write() as writer:
            writer.begin_source(Demo.spec, keep=True)
    context = AppContext(Settings(library=library.folder), library, embedder)
    context.prepare()
    while not (context.jobs.active() or context.ready.wait(0.05)):
        pass
    jobs = context.jobs.of("")
    context.close()
    assert [(job.kind, job.name) for job in jobs] == [("index", DEMO_GALLERY)] * drawn


def test_files_of_other_programs_stay_when_a_killed_writer_is_cleaned_up_after(gallery):
    database, sha256 = gallery.database, "ab" * 32
    names = (
        "features/._00001.npy",
        "features/00001 (conflicted copy).npy",
        "thumbs/ab/@eaDir/x",
        "a.tmp",
        "views/ab/x",
    )
    theirs = [gallery.folder / name for name in (*names, f"thumbs/ab/{sha256} (conflicted copy).jpg")]
    thumbnail, _ = database.thumbnail_paths(sha256)
    ours = [database.shard_path(99), thumbnail, thumbnail.with_name(f"{thumbnail.name}.17-4.tmp")]
    ours += [gallery.folder / "items.json.17-4.tmp", gallery.folder / "features" / "00001.npy.17-4.tmp"]
    for path in (*theirs, *ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    database.writing_path.touch()
    with gallery.write():
        pass
    assert [path for path in (*theirs, *ours) if path.exists()] == theirs


def test_a_damaged_shard_does_not_keep_a_gallery_from_being_as_whoever_wrote_it_left_it(gallery):
    shard = next(gallery.folder.glob("features/*.npy"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    ids = gallery.snapshot().columns.ids.tolist()
    opened = Gallery.open(gallery.folder)
    with opened.write() as writer:
        assert writer.remove(ids[:1]) == 1
    assert not opened.database.writing_path.exists()
    assert len(opened) == 23


@pytest.mark.parametrize("copied", ["folder", "file"])
def test_a_backup_that_is_put_back_under_a_running_program_gives_no_others_hits(gallery, folder, tmp_path, copied):
    library = Library(gallery.folder.parent)
    backup = shutil.copytree(gallery.folder, tmp_path / "backup")
    for view, place in ((7, "later"), (8, "else")):
        (tmp_path / place).mkdir()
        (tmp_path / place / f"{place}.png").write_bytes(encoded(picture("signs/cross", view)))
    run_index(library.get("drawn"), tmp_path / "later")
    assert len(library.get("drawn").snapshot()) == 25
    if copied == "folder":
        shutil.rmtree(gallery.folder)
        shutil.copytree(backup, gallery.folder)
    else:
        for file in ("items.sqlite", "items.json"):
            (gallery.folder / file).write_bytes((backup / file).read_bytes())
        assert len(library.get("drawn").snapshot()) == 24
    run_index(library.get("drawn"), tmp_path / "else")
    hits = [search(of.get("drawn"), [tmp_path / "else/else.png"], 3).hits for of in (library, Library(library.folder))]
    assert hits[0][0].path == "else.png"
    assert [(hit.path, round(hit.score, 5)) for hit in hits[0]] == [(hit.path, round(hit.score, 5)) for hit in hits[1]]
