"""What can be done with chosen items, without a browser: other galleries made of them, files of them, changes."""

import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.serving import serve
from unifex.core.errors import UnifexError
from unifex.core.progress import finish
from unifex.gallery import handing_out
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.gallery.picking import pick
from unifex.retrieval.browsing import Listings
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui.components.chosen import MOST, Chosen


def ids_of(gallery, *paths) -> list[int]:
    return [gallery.item_at(path).id for path in paths]


def test_a_gallery_of_some_finds_what_it_found_before_and_embeds_nothing(gallery, monkeypatch):
    paths = ["signs/cross/1.png", "shapes/disc/0.png", "shapes/disc/1.png"]
    ids = ids_of(gallery, *paths)
    with gallery.write() as writer:
        writer.tag(ids[:1], ["best"])
        writer.correct([relabel(gallery.item_at(paths[1]), "ball")])
    expected = {
        hit.path: pytest.approx(hit.score, abs=1e-5) for hit in search(gallery, Query(items=(ids[2],)), 24).hits
    }
    library = Library(gallery.folder.parent)
    monkeypatch.setattr(type(gallery.embedder.engine), "bulk", None)  # whoever embedded would fail
    made = finish(pick(gallery, ids, "some", library))
    records = {record.path: record for record in made.records(made.snapshot().columns.ids)}
    assert sorted(records) == sorted(paths)
    assert (records[paths[0]].tags, records[paths[1]].label, records[paths[2]].label) == (("best",), "ball", "disc")
    assert made.thumbnail(records[paths[0]].sha256)
    assert made.original(records[paths[0]])
    found = search(made, Query(items=(records[paths[2]].id,)), 3).hits
    assert {hit.path: hit.score for hit in found} == {path: expected[path] for path in paths[:2]}
    assert made.unfinished() == []
    with pytest.raises(GalleryError, match="there is a gallery 'some' already"):
        finish(pick(gallery, ids, "some", library))
    with pytest.raises(GalleryError, match="none of the chosen items"):
        finish(pick(gallery, [10**9], "none", library))
    work = pick(gallery, ids, "stopped", library)
    next(work)
    work.close()
    assert {path.name for path in gallery.folder.parent.iterdir() if "stopped" in path.name} == set()


def test_what_is_kept_of_an_archive_goes_along(tmp_path, embedder, folder):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.write(folder / "shapes/disc/0.png", "disc/0.png")
    gallery = Gallery.create(tmp_path / "indexes" / "kept", embedder)
    run_index(gallery, tmp_path / "pictures.zip")
    (tmp_path / "pictures.zip").unlink()
    made = finish(pick(gallery, ids_of(gallery, "disc/0.png"), "some", Library(tmp_path / "indexes")))
    assert made.original(made.item_at("disc/0.png")) == (folder / "shapes/disc/0.png").read_bytes()


def unzipped(parts) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_image_files_in_a_zip(gallery, folder):
    paths = ["shapes/disc/0.png", "shapes/disc/1.png", "signs/cross/0.png"]
    ids = ids_of(gallery, *paths)
    parts = list(handing_out.as_zip(gallery, ids, handing_out.as_they_lie))
    assert len(parts) > len(ids)  # it is sent while it is made
    assert unzipped(parts) == {path: (folder / path).read_bytes() for path in paths}
    (folder / "signs/cross/0.png").unlink()
    by_label = unzipped(handing_out.as_zip(gallery, ids, handing_out.by_label))
    assert set(by_label) == {"disc/0.png", "disc/1.png", handing_out.MISSING}
    assert b"signs/cross/0.png: the image file is no longer there" in by_label[handing_out.MISSING]


def test_names_in_a_zip_are_safe_and_unique(gallery):
    ids = ids_of(gallery, "shapes/disc/0.png", "shapes/disc/1.png", "signs/cross/0.png", "signs/cross/1.png")
    evil = iter([("..", "../a.png"), ("/etc", "a.png"), ("etc", "A.png"), ("x" * 300, 'con"?.png')])
    names = list(unzipped(handing_out.as_zip(gallery, ids, lambda record: next(evil))))
    assert names[0] == "_a.png" or "/" not in names[0]
    assert names[1:3] == ["_etc/a.png", "etc/A.png"]
    assert not any(part in ("", ".", "..") or len(part) > 100 for name in names for part in name.split("/"))
    same = list(unzipped(handing_out.as_zip(gallery, ids, lambda record: ("", "a.png"))))
    assert same == ["a.png", "a (1).png", "a (2).png", "a (3).png"]


def test_all_but_some(gallery):
    every = gallery.snapshot().columns.ids.tolist()
    listed = lambda gallery, view: Listings().ids(gallery, view.filters, view.order)  # noqa: E731
    assert Chosen.told({"but": every[:2]}).of(gallery, listed) == every[2:]
    assert Chosen.told(every[:2]).of(gallery, listed) == every[:2]
    signs = json.dumps({"chosen": {"domain": ["signs"]}, "order": "newest"})
    shown = [record.id for record in gallery.records(every) if record.domain == "signs"]
    assert 0 < len(shown) < len(every)
    assert Chosen.told({"but": [shown[0]], "view": signs}).of(gallery, listed) == shown[:0:-1]


@pytest.mark.parametrize(
    "told", [[], None, 3, "12", [-1], [1e400], {"but": 1}, {}, [1] * (MOST + 1), [{}], {"but": [], "view": "["}]
)
def test_what_is_no_choice_is_refused(told):
    with pytest.raises(UnifexError):
        Chosen.told(told)


@pytest.fixture(scope="module")
def served(tmp_path_factory, embedder):
    root = tmp_path_factory.mktemp("chosen")
    gallery = Gallery.create(root / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(root / "pictures"))
    with gallery.write() as writer:
        writer.tag(gallery.snapshot().columns.ids[:2].tolist(), ["=best"])
    with serve(root / "indexes") as own, serve(root / "indexes", "--public", log=root / "public.log") as public:
        yield own.url, public.url, gallery, root / "pictures"


def asked(url: str, what: str, items, gallery: str = "drawn") -> httpx.Response:
    return httpx.post(f"{url}chosen/{gallery}", data={"what": what, "items": json.dumps(items)})


def test_downloads(served):
    url, public, gallery, pictures = served
    ids = gallery.snapshot().columns.ids[:3].tolist()
    table = asked(url, "csv", {"but": ids[1:]})
    assert table.headers["content-disposition"] == "attachment; filename*=UTF-8''drawn%20chosen.csv"
    lines = table.content.decode("utf-8-sig").splitlines()
    assert (lines[0], len(lines)) == ("path,label,domain,split,tags", 1 + 24 - 2)
    assert lines[1].endswith(",'=best")  # no spreadsheet runs it
    paths = [record.path for record in gallery.records(ids)]
    folders = unzipped([asked(url, "folders", ids).content])
    assert set(folders) == {path.replace("/", " - ", 1) for path in paths}
    assert set(unzipped([asked(url, "originals", ids).content])) == set(paths)
    assert asked(public, "csv", ids).status_code == 200
    refused = asked(public, "originals", ids)
    assert (refused.status_code, refused.json()["detail"]) == (404, "image files of this gallery are its owner's alone")
    for what, items, name in (
        ("else", ids, "drawn"),
        ("csv", "no", "drawn"),
        ("csv", ids, "../drawn"),
        ("csv", [], "drawn"),
    ):
        assert asked(url, what, items, name).status_code in (404, 405)
    assert httpx.get(f"{public}tags/drawn").json() == {"tags": {"=best": 2}}
    assert Path(pictures).is_dir()
