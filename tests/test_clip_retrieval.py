"""clip-retrieval's layout: what it wrote becomes a gallery, and a gallery becomes what it reads."""

import json

import numpy as np
import pytest

from tests.support import drawing
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.core.progress import finish
from unifex.data.item import SourceError
from unifex.gallery import clip_retrieval
from unifex.gallery.clip_retrieval import Moved, import_embeddings, shards, write
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder
from unifex.retrieval.search import search


def layout(folder, vectors: np.ndarray, rows: list[dict], nested: bool = True, number: int = 0) -> None:
    """As clip-retrieval writes it."""
    import pyarrow as pa
    from pyarrow import parquet

    places = (folder / "img_emb", folder / "metadata") if nested else (folder, folder)
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    np.save(places[0] / f"img_emb_{number}.npy", vectors)
    parquet.write_table(pa.Table.from_pylist(rows), places[1] / f"metadata_{number}.parquet")


@pytest.fixture
def raw(tmp_path) -> Gallery:
    return Gallery.create(tmp_path / "indexes" / "raw", Embedder.load("raw:lite0"))


@pytest.mark.parametrize("nested", [True, False])
def test_a_gallery_of_what_was_computed_elsewhere(raw, tmp_path, nested):
    pictures = [drawing.picture(label, 0) for label in drawing.LABELS]
    vectors = raw.embedder.features(pictures)
    (tmp_path / "made").mkdir()
    pictures[0].save(tmp_path / "made" / "0.png")
    rows = [{"image_path": f"{i}.png", "caption": "a thing"} for i in range(4)]
    layout(tmp_path / "made", vectors[:2].astype(np.float16), rows[:2], nested)
    layout(tmp_path / "made", vectors[2:].astype(np.float16), rows[2:], nested, number=1)
    assert finish(import_embeddings(tmp_path / "made", raw)) == Moved("raw", 4, 1600, 1)
    assert finish(import_embeddings(tmp_path / "made", raw)).rows == 0  # they are there already
    hits = search(raw, [pictures[2]], 4).hits
    assert hits[0].path == "2.png"
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    first = raw.item_at("0.png")
    assert raw.thumbnail(first.sha256)  # its image is here
    assert not raw.thumbnail(raw.item_at("1.png").sha256)
    assert len(list(raw.folder.glob("thumbs/*/*"))) == 1  # where embeddings are all there is, no empty files beside


def test_rows_that_name_one_place_are_one_item(raw, tmp_path):
    vectors = raw.embedder.features([drawing.picture(label, 0) for label in drawing.LABELS]).astype(np.float16)
    rows = [{"image_path": name} for name in ("a.png", "a.png", "b.png", "a.png")]
    layout(tmp_path / "made", vectors[:3], rows[:3])
    layout(tmp_path / "made", vectors[3:], rows[3:], number=1)
    assert finish(import_embeddings(tmp_path / "made", raw)).rows == 2
    assert sorted(record.path for record in raw.records(raw.snapshot().columns.ids)) == ["a.png", "b.png"]


def test_there_and_back_with_labels(folder, frozen, raw, tmp_path):
    gallery = Gallery.create(tmp_path / "indexes" / "drawn", frozen)
    run_index(gallery, folder)
    assert finish(write(gallery, tmp_path / "out", features=True)).rows == 24
    assert finish(import_embeddings(tmp_path / "out", raw)).pictures == 24
    query = drawing.picture("signs/cross", 3)
    expected = search(Gallery.open(gallery.folder, raw.embedder), [query], 24).hits
    found = search(raw, [query], 24).hits
    assert {h.record.uri: round(h.score, 2) for h in found} == {h.record.uri: round(h.score, 2) for h in expected}
    assert raw.facts().domains == gallery.facts().domains
    assert raw.facts().labels == gallery.facts().labels


def test_features_come_back_as_long_as_they_were(gallery, tmp_path):
    finish(write(gallery, tmp_path / "out", features=True))
    vectors = np.load(tmp_path / "out/img_emb/img_emb_0.npy")
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=1e-3)  # as others want it
    back = Gallery.create(tmp_path / "indexes" / "back", gallery.embedder)
    finish(import_embeddings(tmp_path / "out", back))
    hashes = gallery.snapshot().columns.sha256s()
    np.testing.assert_allclose(back.features(hashes), gallery.features(hashes), atol=2e-3, rtol=2e-3)
    place = dict(zip(back.snapshot().columns.sha256s(), back.snapshot().embeddings))
    cosines = [place[own] @ vector for own, vector in zip(hashes, gallery.snapshot().embeddings)]
    assert min(cosines) > 0.99999


def test_a_picture_that_was_replaced_does_not_get_the_vector_of_the_one_before(folder, gallery, raw, tmp_path):
    finish(write(gallery, tmp_path / "out", features=True))
    replaced, before = folder / "shapes/disc/0.png", gallery.item_at("shapes/disc/0.png").sha256
    replaced.write_bytes(drawing.encoded(drawing.picture("signs/cross", 50)))
    assert finish(import_embeddings(tmp_path / "out", raw, folder)).pictures == 23
    (kept,) = [record for record in raw.records(raw.snapshot().columns.ids) if record.sha256 == before]
    assert not raw.thumbnail(kept.sha256)


def test_what_was_written_before_goes(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_retrieval, "SHARD_ROWS", 5)
    finish(write(gallery, tmp_path / "out"))
    assert len(shards(tmp_path / "out")) == 5
    with gallery.write() as writer:
        writer.remove(gallery.snapshot().columns.ids[:20].tolist())
    (tmp_path / "out/img_emb/notes.npy").write_bytes(b"")
    finish(write(gallery, tmp_path / "out"))
    assert len(shards(tmp_path / "out")) == 1
    assert (tmp_path / "out/img_emb/notes.npy").exists()


def test_what_another_program_wrote_is_replaced_only_when_that_is_said(gallery, tmp_path, capsys):
    out = tmp_path / "out"
    layout(out, np.zeros((1, 4), np.float16), [{"image_path": "theirs.png"}], number=3)
    command = ["clip", str(out), "--gallery", gallery.name, "--library", str(gallery.folder.parent), "--write"]
    assert main(command) == 1
    assert "is there already, and of another program" in capsys.readouterr().err
    assert len(shards(out)) == 1
    assert main([*command, "--replace"]) == 0
    assert [array.name for array, _ in shards(out)] == ["img_emb_0.npy"]
    assert main(command) == 0  # its own it may replace


def test_a_class_may_be_the_number_0(raw, tmp_path):
    pictures = [drawing.picture(label, 0) for label in list(drawing.LABELS)[:3]]
    vectors = raw.embedder.features(pictures).astype(np.float16)
    told = [{"label": 0.0, "domain": 0, "split": 0}, {"label": 1.0, "domain": 1, "split": 1}, {"label": float("nan")}]
    layout(tmp_path / "made", vectors, [{"image_path": f"{i}.png", **one} for i, one in enumerate(told)])
    finish(import_embeddings(tmp_path / "made", raw))
    items = [raw.item_at(f"{i}.png") for i in range(3)]
    assert [(item.label, item.domain, item.split) for item in items] == [
        ("0.0", "0", "0"), ("1.0", "1", "1"), ("", "", "")
    ]  # fmt: skip


def test_embeddings_of_a_neck_are_no_features(gallery, tmp_path):
    finish(write(gallery, tmp_path / "out", dim=64))
    with pytest.raises(SourceError, match=r"as the neck of '.*' makes them, .* write them anew with --features"):
        finish(import_embeddings(tmp_path / "out", gallery))


def test_embeddings_are_those_that_are_searched(gallery, tmp_path):
    from pyarrow import parquet

    assert finish(write(gallery, tmp_path / "out", dim=64)) == Moved(str(tmp_path / "out"), 24, 64)
    vectors = np.load(tmp_path / "out/img_emb/img_emb_0.npy")
    paths = parquet.read_table(tmp_path / "out/metadata/metadata_0.parquet")["image_path"].to_pylist()
    assert vectors.dtype == np.float16
    expected = gallery.embedder.embed(paths, 64)
    assert (vectors.astype(np.float32) * expected).sum(1).min() > 0.999


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: None, "no img_emb_N.npy"),
        (lambda f: layout(f, np.zeros((2, 8)), [{"image_path": "a"}] * 2), "this gallery's backbone gives 1600"),
        (lambda f: layout(f, np.zeros((2, 1600)), [{"image_path": "a"}]), "has 2 rows, metadata_0.parquet 1"),
        (lambda f: layout(f, np.zeros((1, 1600)), [{"text": "a"}]), "no column image_path or path"),
        (lambda f: (layout(f, np.zeros((1, 1600)), [{"url": "a"}]), (f / "metadata/metadata_0.parquet").unlink()),
         "number 0 has no other half"),
        (lambda f: (layout(f, np.zeros((1, 1600)), [{"url": "a"}]),
                    (f / "img_emb/img_emb_0.npy").write_bytes(b"x")), "img_emb_0.npy cannot be read"),
        (lambda f: (layout(f, np.zeros((1, 1600)), [{"url": "a"}]),
                    (f / "metadata/metadata_0.parquet").write_bytes(b"x")), "metadata_0.parquet cannot be read"),
    ],
)  # fmt: skip
def test_a_folder_that_is_wrong_says_so(raw, tmp_path, change, sentence):
    (tmp_path / "made").mkdir()
    change(tmp_path / "made")
    with pytest.raises(SourceError, match=sentence):
        finish(import_embeddings(tmp_path / "made", raw))
    assert len(raw) == 0


PICTURE = drawing.encoded(drawing.picture("signs/cross", 1))


def test_a_strangers_table_names_no_picture_of_ours(raw, tmp_path):
    vectors = raw.embedder.features([drawing.picture("signs/cross", 0)])
    for name in ("ours/private.png", "made/0.png"):
        (tmp_path / name).parent.mkdir()
        drawing.picture("signs/cross", 0).save(tmp_path / name)
    rows = [{"image_path": place} for place in (f"{tmp_path}/ours/private.png", "../ours/private.png", "0.png")]
    layout(tmp_path / "made", np.repeat(vectors, 3, 0), rows)
    assert finish(import_embeddings(tmp_path / "made", raw)).pictures == 1
    for path in (row["image_path"] for row in rows[:2]):
        with pytest.raises(GalleryError, match="not on this computer"):
            raw.original(raw.item_at(path))
    again = Gallery.create(tmp_path / "indexes" / "again", raw.embedder)
    moved = finish(import_embeddings(tmp_path / "made", again, tmp_path / "ours"))
    assert moved.pictures == 3  # its owner says where they are


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ({"sha256": "../../../../tmp/x", "thumbnail": b"x"}, "for a sha256"),
        ({"sha256": "0" * 64, "thumbnail": b"<script>"}, "row of 'a' cannot be used: not an image"),
        ({"sha256": "0" * 64, "thumbnail": 10**12}, "row of 'a' cannot be used"),
        ({"sha256": "0" * 64, "thumbnail": PICTURE, "width": "x"}, "row of 'a' cannot be used"),
        ({"feature_length": "long"}, "'a' has 'long' for a length"),
        ({"feature_length": -1.0}, "'a' has '-1.0' for a length"),
        ({"feature_length": float("nan")}, "'a' has 'nan' for a length"),
    ],
)  # fmt: skip
def test_a_strangers_rows_are_looked_at(raw, tmp_path, odd, sentence):
    layout(tmp_path / "made", np.zeros((1, 1600), np.float16), [{"image_path": "a", **odd}])
    with pytest.raises(SourceError, match=sentence):
        finish(import_embeddings(tmp_path / "made", raw))
    layout(tmp_path / "made", np.full((1, 1600), np.nan), [{"image_path": "a"}])
    with pytest.raises(SourceError, match="not finite"):
        finish(import_embeddings(tmp_path / "made", raw))
    assert len(raw) == 0


def test_the_command(gallery, tmp_path, capsys):
    places = ["--library", str(gallery.folder.parent), "--json"]
    assert main(["clip", str(tmp_path / "out"), "--gallery", "drawn", "--write", "--features", *places]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 24
    again = ["clip", str(tmp_path / "out"), "--gallery", "again", "--model", "raw:lite0", *places]
    assert main(again) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 24


def test_what_is_refused_leaves_no_gallery_behind(gallery, tmp_path, capsys):
    library = Library(gallery.folder.parent)
    pictures, out, odd = gallery.folder.parent.parent / "pictures", tmp_path / "out", tmp_path / "odd"
    places = ["--library", str(library.folder)]
    assert main(["clip", str(out), "--gallery", "drawn", "--write", *places]) == 0
    layout(odd, np.zeros((1, 1600), np.float16), [{"image_path": "a", "sha256": "../../etc"}])
    kept = library.names()
    for refused, told in (
        (["clip", str(out)], r"--write --features"),
        (["clip", str(odd), "--model", "raw:lite0"], "for a sha256"),
        (["clip", str(tmp_path / "none")], "no img_emb_N.npy"),
        (["index", str(pictures), "--store", "nosuch:thing"], "nosuch"),
        (["index", str(pictures), "--exclude", "*.png"], "no image"),
        (["index", "--from-embeddings", str(out)], r"--write --features"),
    ):
        assert main([*refused, "--gallery", "new", *places]) == 1
        assert told in capsys.readouterr().err
        assert library.names() == kept, refused
    assert main(["clip", str(odd), "--gallery", "drawn", *places]) == 1
    assert library.names() == kept


@pytest.mark.parametrize("there", [True, False])
def test_tags_go_there_and_back(raw, folder, tmp_path, there):
    """``there``: whether the image files are."""
    run_index(raw, folder)
    tagged = raw.item_at("shapes/disc/0.png")
    with raw.write() as writer:
        writer.tag([tagged.id], ["best", "to print"])
    finish(write(raw, tmp_path / "made", features=True))
    if not there:
        folder.rename(tmp_path / "elsewhere")
    back = Gallery.create(tmp_path / "indexes" / "back", raw.embedder)
    assert finish(import_embeddings(tmp_path / "made", back)).rows == 24
    told = {record.sha256: record.tags for record in back.records(back.snapshot().columns.ids)}
    assert told.pop(tagged.sha256) == ("best", "to print")
    assert set(told.values()) == {()}


def test_a_text_for_tags_names_several(raw, tmp_path):
    vectors = raw.embedder.features([drawing.picture(label, 0) for label in drawing.LABELS]).astype(np.float16)
    rows = [{"image_path": f"{tags}.png", "tags": tags} for tags in ("a, b", "c", "")]
    layout(tmp_path / "made", vectors[:3], rows)
    finish(import_embeddings(tmp_path / "made", raw))
    assert raw.tags() == {"a": 1, "b": 1, "c": 1}
