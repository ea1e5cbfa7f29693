"""What is derived from a gallery: damaged, cut off, gone or another gallery's, it changes no answer."""

from __future__ import annotations

import errno
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.support import drawing
from tests.support.galleries import run_index
from unifex.core import derived
from unifex.core import files as core_files
from unifex.core.derived import Origin
from unifex.core.progress import finish
from unifex.evaluation.protocols import EvalProtocol
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.kept_embeddings import KeptEmbeddings
from unifex.maps.projection import kept_map, project
from unifex.models.embedder import Embedder
from unifex.retrieval.search import search
from unifex.training.augment import augmented_features
from unifex.vector_index.flat_index import FlatIndex

ANY = arrays.arrays(
    st.sampled_from(["<f4", "<f2", "<i8", "S64", [("id", "<i8"), ("content", "S16")]]),
    arrays.array_shapes(min_dims=1, max_dims=3, min_side=0),
)
HERE = Origin("array", "gallery", "model", "content")


@settings(deadline=None, max_examples=40)
@given(ANY, st.sampled_from([np.asarray, np.asfortranarray, lambda array: array[::-1], np.transpose]))
def test_an_array_comes_back_however_it_lies_in_memory(tmp_path_factory, array, laid):
    path = tmp_path_factory.getbasetemp() / "array.npy"
    derived.write_array(path, laid(array), HERE)
    for back in (derived.read_array(path, HERE), np.load(path, allow_pickle=False)):
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, laid(array))


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=200), st.data())
def test_only_what_was_written_is_read(tmp_path_factory, content, data):
    path = tmp_path_factory.getbasetemp() / "bytes"
    derived.write_bytes(path, content, HERE, durable=False)
    assert derived.read_bytes(path, HERE) == content
    assert derived.read_bytes(path, Origin("array", "another", "model", "content")) is None
    whole = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :], whole + b"x"):
        path.write_bytes(damaged)
        assert derived.read_bytes(path, HERE) is None


# --- every kind of file, through public doors --------------------------------------------------------------------


QUERY = drawing.picture("signs/cross", 3)


def calibrated(gallery: Gallery) -> list[float]:
    found = gallery.calibration()
    return [*found.hit, *found.first, *found.out_of_gallery, *found.in_gallery]


def of_views(gallery: Gallery) -> bytes:
    found = finish(augmented_features(gallery, gallery.records(gallery.snapshot().columns.ids[:4]), 2))
    return found.tobytes()


def measured(gallery: Gallery) -> tuple:
    from unifex.evaluation.compare import compare

    found = finish(compare(gallery, EvalProtocol("auto"), None, True))
    return str(found.as_json(True))


NO_MAP = b"none"


def mapped(gallery: Gallery) -> bytes:
    """The kept map; where there is none, the next who asks has one made, which takes UMAP its time."""
    found = kept_map(gallery)
    return found.coords.tobytes() if found else NO_MAP


ANSWERS: dict[str, Callable[[Gallery], object]] = {
    "search": lambda g: [
        (h.path, h.label, h.score, h.probability) for h in search(g, [drawing.picture("signs/cross", 3)]).hits
    ],
    "neighbours": lambda g: [part.tobytes() for part in (g.neighbours()[1].positions, g.neighbours()[1].scores)],
    "calibration": calibrated,
    "evaluate": measured,
    "map": mapped,
    "views": of_views,
    "thumbnails": lambda g: [g.thumbnail(r.sha256) for r in g.records(g.snapshot().columns.ids)],
}


def filled(gallery: Gallery) -> Gallery:
    """With every kind of derived file; the map's places are set by hand, since UMAP takes its time."""
    for ask in ANSWERS.values():
        ask(gallery)
    (gallery.folder / "maps").mkdir()
    columns = gallery.snapshot().columns
    places = np.random.default_rng(len(columns.labelling)).standard_normal((len(columns.ids), 2)).astype(np.float32)
    origin = gallery.origin("map", gallery.model_key)
    derived.write_arrays(gallery.folder / f"maps/{gallery.model_key}.npz", origin, items=columns.items, places=places)
    return gallery


@pytest.fixture(scope="module")
def three(tmp_path_factory, embedder: Embedder) -> tuple[Gallery, Gallery, Gallery]:
    """A gallery, another of equal size, and a copy of the first one's folder that went its own way."""
    root = tmp_path_factory.mktemp("derived")
    drawing.write_folder(root / "pictures", 7)
    for label in drawing.LABELS:
        (root / "others" / label).mkdir(parents=True)
        for view in range(7):
            picture = drawing.encoded(drawing.picture(label, 50 + view))
            (root / "others" / label / f"{view}.png").write_bytes(picture)
    made = [Gallery.create(root / "indexes" / name, embedder) for name in ("one", "other")]
    for gallery, source in zip(made, (root / "pictures", root / "others")):
        run_index(gallery, source)
    fork = Gallery.open(shutil.copytree(made[0].folder, root / "indexes" / "fork"), embedder)
    (root / "pictures/signs/cross/0.png").write_bytes(drawing.encoded(drawing.picture("shapes/disc", 70)))
    run_index(fork, root / "pictures")
    (root / "pictures/signs/cross/0.png").write_bytes(drawing.encoded(drawing.picture("signs/cross", 71)))
    run_index(made[0], root / "pictures")
    with fork.write() as writer:
        writer.correct([relabel(fork.item_at(f"shapes/disc/{view}.png"), "square") for view in range(6)])
    return tuple(filled(gallery) for gallery in (*made, fork))


NAMES = {  # and what each of them answers
    "derived.json": "search", "embeddings.json": "search", "embeddings.rows": "search", "ids.rows": "search",
    "items.json": "search",
    "neighbours.npz": "neighbours", "calibration.json": "calibration", "maps/*.npz": "map", "views/*/*.npy": "views",
    "thumbs/*/*.jpg": "thumbnails",
}  # fmt: skip


def flipped(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


@pytest.mark.parametrize("name", NAMES)
def test_no_damage_and_no_other_gallerys_file_changes_an_answer(three, embedder, tmp_path, name):
    gallery, *others = three
    ask = ANSWERS[NAMES[name]]
    expected = ask(Gallery.open(gallery.folder, embedder))
    rng = random.Random(name)
    copy = Path(shutil.copytree(gallery.folder, tmp_path / "copy"))
    path = rng.choice(sorted(copy.glob(name)))
    whole = path.read_bytes()
    theirs = [rng.choice(sorted(other.folder.glob(name))).read_bytes() for other in others]
    if name == "items.json":
        theirs.pop()  # of a copy of the folder that went its own way: refused, in a sentence
    for data in (*(flipped(whole, rng) for _ in range(6)), whole[: rng.randrange(len(whole))], b"", *theirs):
        path.write_bytes(data)
        for _ in range(2):  # it is made anew, and then it is there
            assert ask(Gallery.open(copy, embedder)) in (expected, NO_MAP)


def test_every_derived_file_swapped_for_another_gallerys(three, embedder, tmp_path):
    gallery, *others = three
    expected = {question: ask(Gallery.open(gallery.folder, embedder)) for question, ask in ANSWERS.items()}
    for other in others:
        copy = Path(shutil.copytree(gallery.folder, tmp_path / other.name))
        for name in NAMES:
            if name != "items.json":
                for path, theirs in zip(sorted(copy.glob(name)), sorted(other.folder.glob(name))):
                    shutil.copy(theirs, path)
        opened = Gallery.open(copy, embedder)
        found = {question: ask(opened) for question, ask in ANSWERS.items()}
        assert found == expected | {"map": NO_MAP}


def test_a_large_index_is_made_anew_too(three, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(FlatIndex, "max_vectors", 0)
    made = []
    for one in three:
        copy = Gallery.open(shutil.copytree(one.folder, tmp_path / one.name), embedder)
        (copy.folder / "ids.rows").unlink()
        made.append((copy, ANSWERS["search"](copy)))
    (copy, expected), *others = made
    whole = (copy.folder / "index.faiss").read_bytes()
    rng = random.Random(0)
    wrong = [bytes([*whole[: (at := rng.randrange(len(whole)))], whole[at] ^ 4, *whole[at + 1 :]]) for _ in range(4)]
    for data in (*wrong, whole[:900], *((other.folder / "index.faiss").read_bytes() for other, _ in others)):
        (copy.folder / "index.faiss").write_bytes(data)
        assert ANSWERS["search"](Gallery.open(copy.folder, embedder)) == expected
    assert (copy.folder / "index.faiss").read_bytes()[-20:] == whole[-20:]


def test_of_a_large_gallery_only_what_came_is_written_by_whoever_sees_it_first(embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(FlatIndex, "max_vectors", 0)
    drawing.write_folder(tmp_path / "pictures", 5)
    gallery = Gallery.create(tmp_path / "indexes" / "large", embedder)
    run_index(gallery, tmp_path / "pictures")
    path, lists = gallery.folder / "embeddings.rows", gallery.folder / "derived.json"
    looking = Gallery.open(gallery.folder, embedder)  # as another program does
    seen, file, indexed = looking.snapshot(), path.stat().st_ino, lists.read_bytes()
    before = seen.embeddings.copy()

    (tmp_path / "more").mkdir()
    for at in range(7):
        (tmp_path / "more" / f"{at}.png").write_bytes(drawing.encoded(drawing.picture("signs/cross", 90 + at)))
    work = index(gallery, str(tmp_path / "more"))
    while len(looking.snapshot()) == len(seen):  # until a commit, before the index is kept
        next(work)
    assert isinstance(looking.snapshot().embeddings, np.memmap)
    assert lists.read_bytes() == indexed
    opened = Gallery.open(gallery.folder, embedder)  # has the embeddings of all, and the lists of the first
    assert len(opened.snapshot()) == len(looking.snapshot())
    finish(work)

    everything = finish(Gallery.open(gallery.folder, embedder).derived.rebuild())
    for one in (gallery, looking, opened, Gallery.open(gallery.folder, embedder)):
        np.testing.assert_array_equal(one.snapshot().embeddings, everything.embeddings)
        assert ANSWERS["search"](one) == ANSWERS["search"](gallery)
    assert path.stat().st_ino == file
    np.testing.assert_array_equal(seen.embeddings, before)

    with gallery.write() as writer:  # what is removed is not kept
        writer.remove([int(everything.columns.ids[2])])
        gallery.derived.save()
    assert path.stat().st_size == (len(everything) - 1) * everything.embeddings[0].nbytes
    np.testing.assert_array_equal(looking.snapshot().embeddings, np.delete(everything.embeddings, 2, 0))
    np.testing.assert_array_equal(seen.embeddings, before)


def test_what_an_earlier_version_left_is_made_anew_and_kept(three, embedder, tmp_path):
    gallery = three[0]
    expected = {question: ask(Gallery.open(gallery.folder, embedder)) for question, ask in ANSWERS.items()}
    copy = Path(shutil.copytree(gallery.folder, tmp_path / "old"))
    current = gallery.snapshot()
    for path in copy.glob("*.rows"):
        path.unlink()
    (copy / "embeddings.json").unlink()
    np.save(copy / "ids.npy", current.columns.ids)
    np.save(copy / "embeddings.npy", current.embeddings)
    (copy / "derived.json").write_text(json.dumps({"neck_hash": current.neck_hash, "lists": None}))
    np.savez(copy / "neighbours.npz", neck_hash="x", ids=current.columns.ids)
    (copy / "calibration.json").write_text(json.dumps({"hit": [1, 2]}))
    opened = Gallery.open(copy, embedder)
    assert {question: ask(opened) for question, ask in ANSWERS.items()} == expected
    assert (copy / "embeddings.rows").stat().st_size == current.embeddings.nbytes
    assert not list(copy.glob("*.npy"))  # which would lie there for ever
    assert derived.read_arrays(copy / "neighbours.npz", opened.origin("neighbours", opened.model_key))


def test_where_nothing_can_be_written_it_is_made_in_memory(three, embedder, tmp_path, monkeypatch):
    gallery = three[0]
    expected = {question: ask(Gallery.open(gallery.folder, embedder)) for question, ask in ANSWERS.items()}
    copy = Path(shutil.copytree(gallery.folder, tmp_path / "copy"))
    for name in (
        "ids.rows",
        "neighbours.npz",
        "calibration.json",
        *(p.relative_to(copy) for p in copy.glob("thumbs/*/*")),
    ):
        (copy / name).write_bytes(b"rubbish")

    def full(*_args: object, **_options: object) -> None:
        raise OSError(30, "read-only file system", "x")

    monkeypatch.setattr(core_files, "whole_file", full)
    opened = Gallery.open(copy, embedder)
    for question in ("search", "neighbours", "calibration", "evaluate", "thumbnails"):
        assert ANSWERS[question](opened) == expected[question]
    assert (copy / "ids.rows").read_bytes() == b"rubbish"


def test_a_full_disk_is_told_once(gallery, folder, caplog, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("write", "grow"):
        monkeypatch.setattr(KeptEmbeddings, name, full)
    with gallery.write() as writer:
        writer.remove([gallery.item_at("shapes/disc/0.png").id])
    opened = Gallery.open(gallery.folder)
    opened.derived.refresh()
    monkeypatch.setattr(derived, "write_arrays", full)
    finish(project(opened))
    assert [record.getMessage() for record in caplog.records] == [
        "gallery 'drawn': what is derived from it is not kept: the disk is full; make room and do it again"
    ]
