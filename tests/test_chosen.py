"""What can be done with chosen items, without a browser: other galleries made of them, files of them, changes."""

import io
import json
import zipfile
from pathlib import Path

import gradio as gr
import httpx
import pytest

from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.serving import serve
from unifex.cli.settings import Settings
from unifex.core.errors import UnifexError
from unifex.core.progress import finish
from unifex.exports.export import sent
from unifex.exports.formats import FORMATS, offered
from unifex.exports.names import MISSING
from unifex.exports.selection import Selection
from unifex.gallery import tags
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.gallery.picking import pick
from unifex.retrieval.browsing import Listings
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui.components.chosen import MOST, Chosen
from unifex.ui.components.chosen_items import ChosenItems, Elsewhere
from unifex.ui.context import AppContext


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


def test_an_item_that_two_with_many_tags_became_keeps_all_of_them_in_a_gallery_of_some(gallery):
    (item,) = ids_of(gallery, "signs/cross/1.png")
    many = tuple(f"{number:02}" for number in range(tags.MOST + 5))
    with gallery.write() as writer:
        writer.copy_tags([item], many)
    made = finish(pick(gallery, [item], "some", Library(gallery.folder.parent)))
    assert made.item_at("signs/cross/1.png").tags == many


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
    parts = list(sent(Selection.of(gallery, ids), FORMATS["files"]))
    assert len(parts) > len(ids)  # it is sent while it is made
    assert unzipped(parts) == {path: (folder / path).read_bytes() for path in paths}
    (folder / "signs/cross/0.png").unlink()
    by_label = unzipped(sent(Selection.of(gallery, ids, "only-originals"), FORMATS["imagefolder"]))
    pictures = {"shapes - disc/0.png", "shapes - disc/1.png"}
    assert set(by_label) == {*pictures, "metadata.jsonl", "README.md", MISSING}
    assert b"signs/cross/0.png: the image file is no longer there" in by_label[MISSING]
    assert [json.loads(line)["file_name"] for line in by_label["metadata.jsonl"].splitlines()] == sorted(pictures)


def test_a_zip_that_nobody_takes_to_its_end_is_given_up(gallery):
    work = sent(Selection.of(gallery), FORMATS["coco"])
    next(work)
    work.close()
    with pytest.raises(StopIteration):
        next(work)


def test_all_but_some(gallery):
    every = gallery.snapshot().columns.ids.tolist()
    listed = lambda gallery, view: Listings().ids(gallery, view.filters, view.order)  # noqa: E731
    assert Chosen.told({"but": every[:2], "count": len(every) - 2}).of(gallery, listed) == every[2:]
    assert Chosen.told(every[:2]).of(gallery, listed) == every[:2]
    signs = json.dumps({"chosen": {"domain": ["signs"]}, "order": "newest"})
    shown = [record.id for record in gallery.records(every) if record.domain == "signs"]
    assert 0 < len(shown) < len(every)
    told = {"but": [shown[0]], "view": signs, "count": len(shown) - 1}
    assert Chosen.told(told).of(gallery, listed) == shown[:0:-1]
    with pytest.raises(UnifexError, match=f"{len(shown) - 1} would be now"):  # others came meanwhile
        Chosen.told({**told, "count": 1}).of(gallery, listed)


@pytest.mark.parametrize(
    "told",
    [[], None, 3, "12", [-1], [1e400], {"but": 1}, {}, [1] * (MOST + 1), [{}], {"but": []}, {"but": [], "view": "["}],
)
def test_what_is_no_choice_is_refused(told):
    with pytest.raises(UnifexError):
        Chosen.told(told)


def test_what_another_tab_has_left_out_is_not_said_to_be_done_again(gallery):
    context = AppContext(Settings(library=gallery.folder.parent), Library(gallery.folder.parent), gallery.embedder)
    with gr.Blocks():
        chosen = ChosenItems(context)
        chosen.build()
        nowhere = Elsewhere(lambda name: {}, lambda name: {}, lambda name, ids: {}, [])
        chosen.wire(gr.State(), gr.State(), nowhere)
    told = [gallery.name, ids_of(gallery, "signs/cross/1.png", "shapes/disc/0.png"), ""]
    assert "2 images left out" in chosen.act(json.dumps(["leave", *told]))[chosen.notice]
    for action in ("leave", "label", "tag", "remove"):
        answer = chosen.act(json.dumps([action, *told[:2], "round"]))
        assert "Nothing was done" in answer[chosen.notice]
        assert f"none of the chosen items is in &#39;{gallery.name}&#39; any more" in answer[chosen.notice]
        assert chosen.corrected in answer  # what is shown is of before
    assert len(gallery.corrections()) == 2


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
    table = asked(url, "csv", {"but": ids[1:], "count": 22})
    assert table.headers["content-disposition"] == "attachment; filename*=UTF-8''drawn%20chosen.csv"
    lines = table.content.decode("utf-8-sig").splitlines()
    assert (lines[0], len(lines)) == ("path,label,domain,split,tags", 1 + 24 - 2)
    assert lines[1].endswith(",'=best")  # no spreadsheet runs it
    paths = [record.path for record in gallery.records(ids)]
    folders = unzipped([asked(url, "imagefolder", ids).content])
    named = {path.partition("/")[2] for path in paths}  # of one domain, the label tells enough
    assert set(folders) == {*named, "metadata.jsonl", "README.md"}
    assert set(unzipped([asked(url, "files", ids).content])) == set(paths)
    assert {len(asked(url, format.name, ids).content) > 1000 for format in offered() if format.name != "csv"} == {True}
    assert asked(public, "csv", ids).status_code == 200
    for what in ("files", "dataset"):
        refused, reason = asked(public, what, ids), "image files of this gallery are its owner's alone"
        assert (refused.status_code, refused.json()["detail"]) == (404, reason)
    thumbnails = unzipped([asked(public, "imagefolder", ids).content])
    assert {name.replace(".jpg", ".png") for name in thumbnails if name.endswith(".jpg")} == named
    assert not any(str(pictures).encode() in data for data in thumbnails.values())
    for what, items, name in (
        ("else", ids, "drawn"),
        ("atlas", ids, "drawn"),
        ("csv", "no", "drawn"),
        ("csv", ids, "../drawn"),
        ("csv", [], "drawn"),
    ):
        assert asked(url, what, items, name).status_code in (404, 405)
    assert httpx.get(f"{public}tags/drawn").json() == {"tags": {"=best": 2}}
    assert Path(pictures).is_dir()
