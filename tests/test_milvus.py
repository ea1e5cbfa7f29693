"""A gallery whose vectors are searched in Milvus gives the answers that FAISS gives: in Milvus Lite and, started by
``test_milvus_server``, in a server."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import make_model
from tests.support.milvus_server import STORE_VARIABLE
from tests.support.vectors import clustered, overlap
from unifex.cli.main import main
from unifex.core.progress import finish
from unifex.evaluation.compare import compare
from unifex.gallery import bundle
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.vector_index import exact, index_types, milvus_index
from unifex.vector_index.candidates import EVERYTHING, Place, Vectors
from unifex.vector_index.matches import Exclusion
from unifex.vector_index.milvus_index import MilvusIndex

pytestmark = pytest.mark.scale

STORE = os.environ.get(STORE_VARIABLE, "milvus")
of_a_file = pytest.mark.skipif(STORE != "milvus", reason="is of Milvus Lite's file")

DOMAINS, SPLITS = ('quo"ted \\', "päckchen", ""), ("index", "query")


def rows(embeddings: np.ndarray, keys: np.ndarray | None = None, version: int = 1) -> Vectors:
    keys = np.arange(len(embeddings)) + 5 if keys is None else keys
    domains = np.array(DOMAINS, object)[keys % 3]
    return Vectors(embeddings, keys, domains, np.array(SPLITS, object)[keys % 2], version)


def follow(folder: Path, name: str, vectors: Vectors) -> MilvusIndex:
    return MilvusIndex.build(vectors, Place(STORE, folder, name))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield follow(folder, "unifex_test", rows(clustered(3000)))
    leave(folder)


def leave(folder: Path) -> None:
    """Nothing of a test stays in a server."""
    if MilvusIndex.is_elsewhere(STORE):
        MilvusIndex.forget(STORE, folder, "unifex_")
    MilvusIndex.release(STORE, folder)


def held(collection: MilvusIndex) -> dict[int, tuple[str, str]]:
    """What Milvus itself says that it holds."""
    fields = ["id", "domain", "split"]
    found = collection.client.query(collection.name, filter="id >= 0", output_fields=fields, limit=16_000)
    return {row["id"]: (row["domain"], row["split"]) for row in found}


def test_nearest_with_filters_against_exact_search(collection):
    embeddings, queries = collection.vectors.embeddings, clustered(30, seed=1)
    index, scan = exact.VectorIndex(embeddings, collection), index_types.build(embeddings)
    rng = np.random.default_rng(0)
    one_domain = collection.vectors.domains == DOMAINS[0]
    split_of_domain = one_domain & (collection.vectors.splits == "query")
    without_some, some = np.ones(3000, bool), np.zeros(3000, bool)
    without_some[rng.choice(3000, 20, False)], some[rng.choice(3000, 20, False)] = False, True
    masks = [None, one_domain, ~one_domain, split_of_domain, one_domain & without_some, some, split_of_domain | some]
    for mask in [*masks, np.zeros(3000, bool)]:
        found, right = (each.search(queries, 10, Exclusion(mask)) for each in (index, scan))
        assert found.positions.shape == right.positions.shape
        if found.positions.size:
            assert overlap(found.positions, right.positions) >= 0.99
            assert np.abs(found.scores - right.scores).max() < 0.01


def test_a_filter_that_would_name_too_many_items_is_scanned(collection):
    mask = np.random.default_rng(0).random(3000) < 0.5
    collection = replace(collection, max_named=100)
    assert collection.expression(mask) is None
    embeddings, queries = collection.vectors.embeddings, clustered(5, seed=1)
    found = exact.VectorIndex(embeddings, collection).search(queries, 10, Exclusion(mask)).positions
    assert np.array_equal(found, index_types.build(embeddings).search(queries, 10, Exclusion(mask)).positions)


def test_deeper_than_milvus_goes_is_scanned(collection):
    collection = replace(collection, max_hits=100)
    embeddings, queries = collection.vectors.embeddings, clustered(5, seed=1)
    found = exact.VectorIndex(embeddings, collection).search(queries, 200).positions
    assert np.array_equal(found, index_types.build(embeddings).search(queries, 200).positions)


def test_everything_is_scanned(collection):
    embeddings, queries = collection.vectors.embeddings, clustered(5, seed=1)
    asked = replace(collection, client=None)  # that cannot be asked
    found = exact.VectorIndex(embeddings, asked).search(queries, 10, budget=EVERYTHING).positions
    assert np.array_equal(found, index_types.build(embeddings).search(queries, 10).positions)


def test_the_collection_follows(tmp_path):
    embeddings = clustered(300)
    keys = np.arange(300)
    first = follow(tmp_path, "unifex_test", rows(embeddings[:200], keys[:200]))
    assert sorted(held(first)) == list(range(200))
    now = rows(embeddings[50:], keys[50:], version=2)
    now.domains[:10] = "moved"
    second = follow(tmp_path, "unifex_test", now)
    assert held(second) == {int(k): (d, s) for k, d, s in zip(now.keys, now.domains, now.splits)}
    older = follow(tmp_path, "unifex_test", rows(embeddings[:200], keys[:200]))
    assert sorted(held(older)) == list(range(50, 300))  # a process that is behind undoes nothing
    found = exact.VectorIndex(embeddings[:200], older).search(embeddings[:5], 10).positions
    assert found.max() < 200
    sent = []
    second.client.upsert, upsert = lambda *given: sent.append(given), second.client.upsert
    follow(tmp_path, "unifex_test", now)
    assert not sent
    second.client.upsert = upsert
    second.client.delete("unifex_test", ids=[60])  # somebody else
    assert sorted(held(follow(tmp_path, "unifex_test", now))) == list(range(50, 300))
    (tmp_path / "unifex_test.npz").write_bytes(b"damaged")
    assert sorted(held(follow(tmp_path, "unifex_test", now))) == list(range(50, 300))
    follow(tmp_path, "unifex_other", rows(embeddings[:5], keys[:5]))
    MilvusIndex.forget(STORE, tmp_path, "unifex_", but="unifex_other")
    assert second.client.list_collections() == ["unifex_other"]
    leave(tmp_path)


@pytest.fixture
def both(gallery):
    """The drawn gallery in FAISS and, the same one, in Milvus."""
    library = Library(gallery.folder.parent)
    yield gallery, library.move_to(gallery.name, STORE), library
    leave(gallery.folder)


def test_a_gallery_in_milvus_answers_as_in_faiss(both, folder):
    faiss, moved, _ = both
    assert moved.snapshot().index.candidates.title.startswith("Milvus")
    query = encoded(picture("shapes/disc", 50))
    ids = moved.snapshot().columns.ids
    asked = [
        Filters(), Filters(domains=("signs",)), Filters(splits=("nothing",)), Filters(min_score=0.5),
        Filters(within=frozenset(ids[:7].tolist())), Filters(exclude=frozenset(ids[3:5].tolist())),
        Filters(("shapes",), exclude=frozenset(ids[:2].tolist())),
    ]  # fmt: skip
    for filters in asked:
        for rerank in (False, True):
            here, there = (search(one, [query], 12, filters, rerank=rerank) for one in (faiss, moved))
            assert [hit.as_json() for hit in there.hits] == [hit.as_json() for hit in here.hits]
            assert there.out_of_gallery == here.out_of_gallery
    here, there = (search(one, Query(items=tuple(ids[:2].tolist())), 5).hits for one in (faiss, moved))
    assert [hit.as_json() for hit in there] == [hit.as_json() for hit in here]
    here, there = finish(compare(faiss)), finish(compare(moved))
    assert there.as_json() == here.as_json()


def test_what_is_added_removed_and_corrected_is_so_in_milvus(both, folder, tmp_path):
    _, moved, library = both
    picture("shapes/disc", 99).save(folder / "shapes" / "disc" / "99.png")
    (folder / "signs" / "cross" / "4.png").unlink()
    assert main(["index", str(folder), "--gallery", "drawn", "--prune", "--library", str(library.folder)]) == 0
    hits = search(moved, [encoded(picture("shapes/disc", 99))], 24).hits
    assert hits[0].path == "shapes/disc/99.png"
    assert len(hits) == 24
    collection = moved.snapshot().index.candidates
    assert sorted(held(collection)) == moved.snapshot().columns.ids.tolist()
    item = moved.item_at("shapes/disc/99.png")
    with moved.write() as writer:
        writer.correct([Correction("drop", item.uri, item.path, item.sha256)])
    assert search(moved, [encoded(picture("shapes/disc", 99))], 24).hits[0].path != "shapes/disc/99.png"
    assert item.id not in held(moved.snapshot().index.candidates)


def test_another_neck_gets_another_collection_and_the_old_one_goes(both, embedder):
    _, moved, library = both
    assert main(["store", "drawn", STORE, "--library", str(library.folder)]) == 0  # there already: nothing to do
    before = moved.snapshot().index.candidates.name
    used = finish(library.use("drawn", make_model(embedder, "other")))
    collection = used.snapshot().index.candidates
    assert collection.name != before
    assert collection.client.list_collections() == [collection.name]


def test_names_and_deletion(both):
    _, _, library = both
    renamed = library.rename("drawn", "again")
    assert len(search(renamed, [encoded(picture("shapes/disc", 50))], 3).hits) == 3
    back = library.move_to("again", "faiss")
    assert back.snapshot().index.candidates.exact
    assert not list(back.folder.glob("unifex_*"))
    assert Gallery.open(back.folder).config.store == ""
    library.move_to("again", STORE)
    library.delete("again")
    assert not renamed.folder.exists()


@of_a_file
@pytest.mark.parametrize("deleted", [True, False])
def test_what_a_copy_leaves_stays_for_the_other(gallery, tmp_path, deleted):
    """A folder that was copied has its collection in a store that lies elsewhere in common with the other; so has
    every gallery there the connection."""
    library, query = Library(gallery.folder.parent), [encoded(picture("shapes/disc", 50))]
    moved = library.move_to(gallery.name, f"milvus:{tmp_path}/far.db")
    shutil.copytree(moved.folder, moved.folder.with_name("copy"))
    found = [search(library.get(name), query, 3).hits[0].path for name in library.names()]
    if deleted:
        library.delete("copy")
    else:
        library.move_to("copy", "faiss")
    assert [search(library.get(gallery.name), query, 3).hits[0].path] * 2 == found
    assert moved.snapshot().index.candidates.client.list_collections() == [moved.config.collection_name]
    library.delete(gallery.name)
    assert not milvus_index._client(f"{tmp_path}/far.db").list_collections()
    MilvusIndex.release(moved.config.store, moved.folder)


def test_a_restart_finds_what_was_kept(both):
    _, moved, library = both
    moved.derived.save()
    MilvusIndex.release(STORE, moved.folder)
    command = [sys.executable, "-m", "unifex", "info", "drawn", "--library", str(library.folder)]
    assert "Milvus, HNSW" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@of_a_file
def test_errors_name_the_remedy(gallery, tmp_path, capsys, monkeypatch):
    def run(store: str) -> str:
        assert main(["store", gallery.name, store, "--library", str(gallery.folder.parent)]) == 1
        return capsys.readouterr().err

    assert "no store 'postgres'; there are: faiss, milvus" in run("postgres")
    assert "neither a URL nor a file that ends in .db" in run("milvus:here")
    (tmp_path / "odd.db").write_bytes(b"not a database")
    told = run(f"milvus:{tmp_path}/odd.db")
    assert (f"`python -m unifex store {gallery.name} faiss`" in told, "Traceback" in told) == (True, False), told
    assert Gallery.open(gallery.folder).config.store == ""
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    assert "pip install -r requirements-scale.txt" in run(f"milvus:{tmp_path}/new.db")


@of_a_file
def test_who_comes_while_another_program_has_the_file_open_is_told_so_in_a_sentence(both):
    """And of no line of code."""
    *_, library = both
    command = [sys.executable, "-m", "unifex", "info", "drawn", "--library", str(library.folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    assert re.search(r"holds the lock.*that no other program, as the app, has its file open, or search", done.stderr)
    assert "`python -m unifex store drawn faiss`" in done.stderr


@of_a_file
def test_a_gallery_whose_milvus_is_gone_can_go_back_to_faiss(both, caplog):
    _, moved, library = both
    MilvusIndex.release("milvus", moved.folder)
    (moved.folder / milvus_index.LITE_FILE / "LOCK").parent.rename(moved.folder / "elsewhere")
    (moved.folder / milvus_index.LITE_FILE).write_bytes(b"not a database")
    back = Library(library.folder).move_to("drawn", "faiss")
    assert "stay in milvus" in caplog.text
    assert len(search(back, [encoded(picture("shapes/disc", 50))], 3).hits) == 3


def test_a_packed_gallery_says_nothing_of_its_store(both, tmp_path):
    _, moved, _ = both
    finish(bundle.pack(moved, tmp_path / "drawn.zip"))
    assert b"milvus" not in (tmp_path / "drawn.zip").read_bytes().lower()
    there = Library(tmp_path / "there")
    finish(bundle.unpack(tmp_path / "drawn.zip", "drawn", there))
    assert there.get("drawn").config.store == ""
    assert there.get("drawn").snapshot().index.candidates.exact


@of_a_file
def test_a_new_gallery_in_a_file_that_is_named_from_another_folder(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    where = ["--library", str(tmp_path / "indexes")]
    assert main(["index", str(folder), "--gallery", "new", "--store", "milvus:here.db", *where]) == 0
    stored = Gallery.open(tmp_path / "indexes" / "new").config.store
    assert stored == f"milvus:{tmp_path / 'elsewhere' / 'here.db'}"
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["search", str(folder / "signs/cross/4.png"), "--gallery", "new", "-k", "1", *where]) == 0
    assert "signs/cross/4.png" in capsys.readouterr().out
    MilvusIndex.release(stored, tmp_path / "indexes" / "new")
