"""What cannot be written is told before the work, with the folder and the remedy; what two make at once is one's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support import drawing
from tests.support.galleries import make_model, packed, run_index, unpacked
from tests.support.permissions import only_readable
from unifex.cli.main import main
from unifex.core.disk import NotWritable
from unifex.core.files import AlreadyThere, new_folder
from unifex.core.progress import finish
from unifex.gallery import bundle
from unifex.gallery.errors import GalleryError, GalleryThere
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.gallery.other_backbone import index_anew
from unifex.models.embedder import Embedder
from unifex.retrieval.query import Query
from unifex.retrieval.saved_search import SavedSearch
from unifex.retrieval.saved_searches import SavedSearches

ITEM = "shapes/disc/0.png"


@pytest.fixture
def unifex(gallery, capsys):
    """Runs a command on a gallery: (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([*arguments, "--library", str(gallery.folder.parent)])
        except SystemExit as end:
            code = int(end.code or 0)
        return (code, *capsys.readouterr())

    return run


WRITTEN = [
    "embed FOLDER --out OUT.npz",
    "map --gallery drawn --out OUT.html",
    "duplicates --gallery drawn --out OUT.html",
    "duplicates --gallery drawn --csv OUT.csv",
    "correct drawn --out OUT.csv",
    "curate FOLDER --min-images 1 --out OUT.csv",
    "search PICTURE --gallery drawn --out OUT.html",
    "pack drawn --out OUT.zip",
    "export-gallery drawn --to csv --out OUT.csv",
    "export --out OUT.pt",
    "export-gallery drawn --to files --out OUT",
    "export --out OUT",
    "clip OUT --gallery drawn --write",
]


@pytest.mark.parametrize("command", WRITTEN)
def test_where_nothing_can_be_written_is_told_before_the_work(unifex, folder, tmp_path, command):
    def run(out: str) -> tuple[int, str, str]:
        words = {"FOLDER": str(folder), "PICTURE": str(folder / ITEM)}
        return unifex(*(words.get(word, word.replace("OUT", out)) for word in command.split()))

    place = tmp_path / "place"
    place.mkdir()
    with only_readable(place):
        for out in (f"{place}/made", f"{place}/new/made"):
            code, said, told = run(out)
            assert (code, said, told.count("\n")) == (1, "", 1), told  # nothing of how far it got
            refused = "(Permission denied): ask for the right to, or name a folder where you may write"
            assert "unifex: nothing can be written in '" in told
            assert refused in told
            assert f" (here: {Path(out).parent}" in told
    (tmp_path / "file").touch()
    code, said, told = run(f"{tmp_path}/file/made")
    assert (code, said, told) == (1, "", f"unifex: '{tmp_path}/file' is no folder; name another\n")
    if "OUT." in command:
        suffix = command.partition("OUT")[2]
        (tmp_path / f"made{suffix}").mkdir()
        code, said, told = run(f"{tmp_path}/made")
        assert (code, said, told.count("\n"), f"made{suffix}' is" in told) == (1, "", 1, True), told
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".unifex-")]


@pytest.mark.parametrize("command", [command for command in WRITTEN if "OUT." in command])
def test_a_file_that_somebody_else_wrote_stays(unifex, folder, tmp_path, command):
    words = {"FOLDER": str(folder), "PICTURE": str(folder / ITEM)}
    line = [words.get(word, word.replace("OUT", f"{tmp_path}/made")) for word in command.split()]
    made = tmp_path / f"made{command.partition('OUT')[2]}"
    for content in (b"mine", b"path,sha256\n", b"<!doctype html>\n<title>mine</title>"):
        made.write_bytes(content)
        code, _, told = unifex(*line)
        assert (code, made.read_bytes()) == (1, content), told
        assert re.search(rf"{made}' is there already.*; name another", told)
    made.write_bytes(b"")  # as mktemp leaves it
    again = [*line, "--replace"] if command.startswith("export") else line
    assert [unifex(*again)[0] for _ in range(2)] == [0, 0]  # its own goes
    assert made.stat().st_size > 9


@pytest.mark.parametrize(
    "told", [b"content=\"default-src 'none'; img-src data:", b"/* The map, in the app and in the page"]
)
def test_a_page_of_an_earlier_version_is_replaced(unifex, folder, tmp_path, told):
    (tmp_path / "made.html").write_bytes(b"<!doctype html>\n" + told)
    assert unifex("search", str(folder / ITEM), "--gallery", "drawn", "--out", f"{tmp_path}/made.html")[0] == 0


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("index FOLDER --gallery drawn", "/drawn"),
        ("index FOLDER --gallery new", ""),
        ("tag drawn best ITEM", "/drawn"),
        ("search PICTURE --gallery drawn --save two", ""),
        ("saved drawn one --rename two", ""),
        ("saved drawn one --delete", ""),
        ("train --gallery drawn --save mine --epochs 1", "/models"),
        ("import LAYER --save mine --backbone lite0", "/models"),
        ("import TORCH --save mine", "/models"),
        ("unpack PACKED --gallery new", ""),
        ("use drawn raw:lite0 --as new", ""),
        ("clip LAID --gallery new", ""),
    ],
)
def test_a_library_that_can_only_be_read_is_named(unifex, gallery, folder, tmp_path, command, where):
    here = Library(gallery.folder.parent)
    SavedSearches(here, gallery).add(SavedSearch.new(gallery, "one", Query(items=(1,))))
    here.models.mkdir(exist_ok=True)
    packed(gallery, tmp_path / "packed.zip")
    words = {
        "FOLDER": folder, "PICTURE": folder / ITEM, "ITEM": ITEM, "PACKED": tmp_path / "packed.zip",
        "LAYER": tmp_path / "layer.safetensors", "TORCH": tmp_path / "model.pt", "LAID": tmp_path / "laid",
    }  # fmt: skip
    if "LAYER" in command:
        _write_layer(words["LAYER"])
    if "LAID" in command:
        assert unifex("clip", str(words["LAID"]), "--gallery", "drawn", "--write")[0] == 0
    if "TORCH" in command:
        assert unifex("export", "--out", str(words["TORCH"]))[0] == 0
    with only_readable(here.folder):
        code, _, told = unifex(*(str(words.get(word, word)) for word in command.split()))
    assert code == 1
    refused = Path(f"{here.folder}{where}")
    assert f"unifex: nothing can be written in '{refused.name}' (Permission denied): ask for the right to" in told
    assert f"--library, UNIFEX_LIBRARY) (here: {refused})\n" in told
    assert Library(here.folder).names() == ["drawn"]


def _write_layer(file: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"weight": np.eye(16, 1600, dtype=np.float32)}, file)


def test_what_can_only_be_read_is_packed_although_it_can_be_locked(gallery, tmp_path):
    with gallery.write():
        pass  # its lock is there from now on
    with only_readable(gallery.folder):
        with pytest.raises(NotWritable), gallery.write():
            pass
        packed(gallery, tmp_path / "g.zip")
    assert len(unpacked(tmp_path / "g.zip", "again", Library(gallery.folder.parent))) == 24


def test_another_model_of_what_can_only_be_read_is_refused_before_it_embeds(gallery, embedder):
    here = Library(gallery.folder.parent)
    work = here.use("drawn", make_model(embedder, "own"))
    with only_readable(gallery.folder), pytest.raises(NotWritable, match="nothing can be written in 'drawn'"):
        next(work)
    assert not (here.models / "own").exists()
    assert finish(here.use("drawn", make_model(embedder, "own"))).config.model == "own"


def test_who_loses_the_race_for_a_new_gallery_adds_to_it(embedder, folder, tmp_path, monkeypatch, capsys):
    def raced(_options) -> Embedder:
        run_index(Gallery.create(tmp_path / "indexes/new", embedder), drawing.write_folder(tmp_path / "more", 2))
        return embedder

    monkeypatch.setattr("unifex.cli.shared.embedder", raced)
    assert main(["index", str(folder), "--gallery", "new", "--library", str(tmp_path / "indexes")]) == 0
    assert "gallery 'new'" in capsys.readouterr().out
    assert len(Library(tmp_path / "indexes").get("new").sources()) == 2


def test_who_loses_the_race_takes_nothing_away(embedder, tmp_path):
    library = Library(tmp_path / "indexes")

    def raced() -> Embedder:
        Gallery.create(tmp_path / "indexes/new", embedder)
        return embedder

    with pytest.raises(GalleryError, match="no images"), library.adding_to("new", raced):
        raise GalleryError("no images")
    assert library.names() == ["new"]


def test_what_another_process_has_made_meanwhile_stays(gallery, embedder, tmp_path):
    here, sentence = Library(gallery.folder.parent), "there is a gallery 'new' already, or another process has made it"
    packed(gallery, tmp_path / "g.zip")
    more = drawing.write_folder(tmp_path / "more", 2)
    for begin in (
        lambda: bundle.unpack(tmp_path / "g.zip", "new", here),
        lambda: index_anew(here, "drawn", "new", Embedder.load("raw:lite0")),
    ):
        work = begin()
        next(work)
        run_index(Gallery.create(here.folder / "new", embedder), more)
        with pytest.raises(GalleryThere, match=sentence):
            finish(work)
        assert len(here.get("new")) == 8
        here.delete("new")
    with pytest.raises(GalleryThere, match="there is a gallery 'drawn' already"):
        Gallery.create(gallery.folder, embedder)
    assert len(Gallery.open_or_create(gallery.folder, embedder)) == 24
    (here.folder / "plain").mkdir()
    (here.folder / "plain/mine").touch()
    with pytest.raises(GalleryError, match="a folder 'plain' that is no gallery is in its place"):
        Gallery.create(here.folder / "plain", embedder)
    assert [path.name for path in (here.folder / "plain").iterdir()] == ["mine"]


def test_a_folder_that_is_there_in_the_end_is_not_replaced(tmp_path):
    with pytest.raises(AlreadyThere, match="'made' is there already, or another"), new_folder(tmp_path / "made"):
        (tmp_path / "made/in").mkdir(parents=True)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_model_that_two_unpack_at_once_is_there_once(gallery, frozen, folder, tmp_path, monkeypatch):
    there, rename = Library(tmp_path / "there"), Path.rename
    own = make_model(frozen, "own")
    own.save(gallery.models / "own")
    made = Gallery.create(gallery.folder.with_name("made"), Embedder.load("own", gallery.models))
    run_index(made, folder)
    packed(made, tmp_path / "g.zip")

    def raced(self: Path, target: Path) -> Path:
        if target == there.models / "own":
            shutil.copytree(self, target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", raced)
    assert unpacked(tmp_path / "g.zip", "new", there).config.model == "own"
    assert [path.name for path in there.models.iterdir()] == ["own"]


def test_a_model_that_two_keep_at_once_is_kept_once(embedder, tmp_path, monkeypatch):
    from unifex.models import embedder as models
    from unifex.models.embedder import keep_model

    own = Embedder.load("raw:lite0").save_as("own", tmp_path / "elsewhere")
    save = Embedder.save

    def raced(self: Embedder, folder: Path) -> None:
        save(self, folder)
        save(self, tmp_path / "models/own")

    monkeypatch.setattr(models.Embedder, "save", raced)
    keep_model(own, tmp_path / "models")
    assert Embedder.load("own", tmp_path / "models").neck.hash == own.neck.hash
