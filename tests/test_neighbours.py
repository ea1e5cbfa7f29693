import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.splits import random_embeddings
from unifex.core.arrays import copy_rows, highest
from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.gallery import neighbours
from unifex.gallery.gallery import Gallery
from unifex.gallery.neighbours import NEIGHBOURS, Kept, Neighbours, NeighboursAsked
from unifex.gallery.snapshot import ITEM
from unifex.retrieval import reranking
from unifex.retrieval.search import search
from unifex.vector_index import index_types
from unifex.vector_index.flat_index import FlatIndex
from unifex.vector_index.matches import NOTHING, Exclusion


def slow_neighbours(embeddings, copies):
    """For every item all others but its copies, by cosine, then position."""
    rows = []
    for item, own in enumerate(embeddings):
        others = [o for o in range(len(embeddings)) if copies[o] != copies[item]]
        cosine = {o: np.float32(sum(float(a) * float(b) for a, b in zip(own, embeddings[o]))) for o in others}
        rows.append(sorted(others, key=lambda o, cosine=cosine: (-cosine[o], o))[:NEIGHBOURS])
    return [row + [-1] * (NEIGHBOURS - len(row)) for row in rows]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_against_brute_force(items, images, ties):
    rng = np.random.default_rng(items)
    copies, embeddings = rng.integers(0, images, items), random_embeddings(items, 4, items, ties)
    found = finish(neighbours.find(index_types.build(embeddings), copies))
    assert found.positions.tolist() == slow_neighbours(embeddings, copies)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 90), st.integers(0, 99))
def test_many_files_of_the_same_pixels_against_brute_force(pictures, images, seed):
    """Whether they come at once or later, and though some of them are copies to the byte."""
    rng = np.random.default_rng(seed)
    copies = rng.integers(0, images, 80)
    embeddings = random_embeddings(pictures, 4, seed)[rng.integers(0, pictures, 80)]
    expected = slow_neighbours(embeddings, copies)
    index, ids = index_types.build(embeddings), np.arange(80)
    assert finish(neighbours.find(index, copies)).positions.tolist() == expected
    first = finish(neighbours.find(index_types.build(embeddings[:62]), copies[:62]))
    kept = Kept(np.array([(i, b"") for i in ids[:62]], ITEM), first.positions, first.scores)
    assert finish(neighbours.update(index, ids, copies, kept)).positions.tolist() == expected


def test_of_many_files_of_the_same_pixels_few_are_searched_for(monkeypatch):
    """Each has to look past all the others."""
    embeddings, asked, search = np.repeat(random_embeddings(2, 16, 0), 400, axis=0), [], FlatIndex.search
    count = lambda index, queries, *rest: asked.append(len(queries)) or search(index, queries, *rest)  # noqa: E731
    monkeypatch.setattr(FlatIndex, "search", count)
    found = finish(neighbours.find(index_types.build(embeddings), np.arange(800)))
    assert sum(asked) < 200
    assert found.positions[[0, 399, 799]].tolist() == [[*range(1, 16)], [*range(15)], [*range(400, 415)]]


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 60), st.integers(0, 15), st.integers(0, 10), st.integers(0, 99))
def test_an_update_is_the_same_as_from_the_start(before, added, removed, seed):
    """Whatever came and went since the neighbours were kept."""
    rng = np.random.default_rng(seed)
    embeddings, copies = random_embeddings(before + added, 5, seed, ties=seed % 2), rng.integers(0, 50, before + added)
    ids = np.cumsum(rng.integers(1, 4, before + added))
    old = np.arange(before)
    first = finish(neighbours.find(index_types.build(embeddings[old]), copies[old]))
    near = np.where(first.positions >= 0, ids[old][first.positions], -1)
    items = np.array([(i, b"") for i in ids[old]], ITEM)
    kept = Kept(items, near, first.scores)
    left = np.setdiff1d(np.arange(before + added), rng.choice(before, removed, replace=False))
    index = index_types.build(np.ascontiguousarray(embeddings[left]))
    updated = finish(neighbours.update(index, ids[left], copies[left], kept))
    afresh = finish(neighbours.find(index, copies[left]))
    assert np.array_equal(updated.positions, afresh.positions)
    assert np.array_equal(updated.scores, afresh.scores)


def test_what_is_the_same_picture_only_now_is_found_anew(gallery, embedder):
    """Earlier versions kept a picture that was written into as a neighbour of what it was copied from."""
    current, index = gallery.snapshot(), gallery.snapshot().index
    first, ids = finish(neighbours.find(index, current.columns.pictures)), current.columns.ids
    near = np.where(first.positions >= 0, ids[first.positions], -1)
    near[3, 0], near[4, 0] = ids[3], ids[4]
    path, origin = gallery.folder / "neighbours.npz", gallery.origin("neighbours", gallery.model_key)
    Kept(current.columns.items, near, first.scores).write(path, origin)
    opened = Gallery.open(gallery.folder, embedder)
    assert np.array_equal(opened.neighbours()[1].positions, first.positions)
    kept = Kept.read(path, origin, current.columns.items)
    assert kept
    assert not (kept.near == ids[:, None]).any()


def test_a_gallery_keeps_them_and_adds_to_them(gallery, folder, embedder):
    _, first = gallery.neighbours()
    assert gallery.neighbours()[1] is first
    for view in range(3):
        (folder / "shapes/disc" / f"new{view}.png").write_bytes(encoded(picture("shapes/disc", 90 + view)))
    run_index(gallery, folder)
    current, updated = gallery.neighbours()
    again = finish(neighbours.find(current.index, current.columns.copies))
    assert np.array_equal(updated.positions, again.positions)
    reopened = Gallery.open(gallery.folder, embedder)
    assert np.array_equal(reopened.neighbours()[1].positions, again.positions)
    (gallery.folder / "neighbours.npz").write_bytes(b"rubbish")
    assert np.array_equal(Gallery.open(gallery.folder, embedder).neighbours()[1].positions, again.positions)


# --- context re-ranking, which is made from them -----------------------------------------------------------------


def slow_context(embeddings, near: Neighbours, query, k, own=None, copies=None):
    """Every item augmented, the query expanded, distances by those of an item's neighbours, all ranked again: by loops.

    (the best items, how far they are, their similarities)
    """
    unit = lambda v: v / np.linalg.norm(v)  # noqa: E731
    items = [i for i in range(len(embeddings)) if own is None or copies[i] != own]
    augmented, scale = {}, {}
    for item in items:
        used = [
            (p, s) for p, s in zip(near.positions[item], near.scores[item])
            if p >= 0 and (own is None or copies[p] != own)
        ]  # fmt: skip
        nearest = sum((max(s, 0) ** 3 * embeddings[p] for p, s in used[:2]), np.zeros(1))
        augmented[item] = unit(embeddings[item] + nearest)
        scale[item] = (1 - float(np.mean([min(s, 0.7) for _, s in used])) if used else 1.0) ** 0.5
    scores = {item: float(query @ augmented[item]) for item in items}
    nearest = sorted(items, key=lambda item: ((1 - scores[item]) / scale[item], item))[:2]
    expanded = unit(query + sum((max(scores[i], 0) ** 3 * augmented[i] for i in nearest), np.zeros(1)))
    final = {item: max(float(expanded @ augmented[item]), float(query @ embeddings[item])) for item in items}
    far = {item: max(0.0, 1 - final[item]) / scale[item] for item in items}
    return sorted(items, key=far.__getitem__)[:k], far, final


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 60), st.integers(0, 99), st.booleans())
def test_context_against_loops(items, seed, leave_out):
    rng = np.random.default_rng(seed)
    embeddings, copies = random_embeddings(items, 8, seed), rng.integers(0, items, items)
    index = index_types.build(embeddings)
    near = finish(neighbours.find(index, copies))
    rows = np.arange(min(5, items))
    excluded = Exclusion.own(copies, rows) if leave_out else NOTHING
    matches = reranking.search_reranked(index, near, embeddings[rows], 4, excluded)
    scores, positions = matches.scores, matches.positions
    for row in rows:
        own = copies[row] if leave_out else None
        expected, far, final = slow_context(embeddings, near, embeddings[row], 4, own, copies)
        found = positions[row][positions[row] >= 0].tolist()
        assert len(found) == min(4, len(expected))
        assert np.allclose([far[p] for p in found], [far[p] for p in expected], atol=1e-5)
        assert np.allclose(scores[row][: len(found)], [final[p] for p in found], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 300), st.integers(1, 8), st.floats(0, 0.9), st.integers(0, 99))
def test_the_very_image_is_first_however_crowded_it_is(items, themes, share, seed):
    """Whatever the others are: near to each other around some themes, or not."""
    rng = np.random.default_rng(seed)
    about = random_embeddings(themes, 16, seed)[rng.integers(0, themes, items)]
    embeddings = l2_normalize(share * about + (1 - share) * random_embeddings(items, 16, seed + 1), 16)
    index = index_types.build(embeddings)
    near = finish(neighbours.find(index, np.arange(items)))
    assert (reranking.search_reranked(index, near, embeddings, 1).positions[:, 0] == np.arange(items)).all()


def test_views_of_one_thing_stay_before_what_is_merely_alike():
    """Though they crowd each other, and the others do not."""
    rng = np.random.default_rng(0)
    about = lambda cosine, count: l2_normalize(  # noqa: E731
        np.eye(1, 256) + l2_normalize(rng.standard_normal((count, 256)), 256) * np.sqrt(cosine**-2 - 1), 256
    ).astype(np.float32)
    embeddings = np.concatenate([about(0.8, 300), about(0.97, 30)])
    index = index_types.build(embeddings)
    near = finish(neighbours.find(index, np.arange(len(embeddings))))
    found = reranking.search_reranked(index, near, about(0.97, 5), 30)
    assert (found.positions >= 300).all()


def test_what_is_near_to_many_is_ranked_lower():
    """Of items that are about as near to the query, first the one that is near to nothing else."""
    rng = np.random.default_rng(0)
    query, own, shared = np.eye(3, 256)
    of_the_crowd = 0.61 * query + 0.7 * shared + 0.38 * l2_normalize(rng.standard_normal((20, 256)), 256)
    embeddings = l2_normalize(np.vstack([of_the_crowd, 0.6 * query + 0.8 * own]), 256).astype(np.float32)
    index = index_types.build(embeddings)
    near = finish(neighbours.find(index, np.arange(21)))
    queries = query[None].astype(np.float32)
    assert index.search(queries, 1).positions[0, 0] != 20
    assert reranking.search_reranked(index, near, queries, 1).positions[0, 0] == 20


def test_who_asks_for_more_gets_the_same_hits_first():
    embeddings = random_embeddings(700, 16, 3)
    index = index_types.build(embeddings)
    near = finish(neighbours.find(index, np.arange(700)))
    whole = reranking.search_reranked(index, near, embeddings[:20], 700).positions
    assert (np.sort(whole, axis=1) == np.arange(700)).all()
    for k in (1, 20, 64, 65, 256, 257, 500):
        assert np.array_equal(reranking.search_reranked(index, near, embeddings[:20], k).positions, whole[:, :k])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(0, 9), st.integers(0, 99), st.booleans())
def test_words_in_context_against_loops(items, texts, seed, filtered):
    """An item and its 5 nearest, less half of what the likeliest 5 of the usual texts have with it."""
    rng = np.random.default_rng(seed)
    embeddings, (query, *usual) = random_embeddings(items, 8, seed), random_embeddings(1 + texts, 8, seed + 1)
    index = index_types.build(embeddings)
    near = finish(neighbours.find(index, np.arange(items)))
    mask = rng.random(items) < 0.8 if filtered else np.ones(items, bool)
    scores = embeddings @ query
    value = {}
    for item in range(items):
        weights = {int(p): max(s, 0) ** 3 for p, s in zip(near.positions[item, :5], near.scores[item, :5]) if p >= 0}
        total = 1 + sum(weights.values())
        value[item] = (scores[item] + sum(weight * scores[p] for p, weight in weights.items())) / total
    whole = sorted(np.flatnonzero(mask).tolist(), key=lambda item: -scores[item])
    first, others = whole[: reranking.CANDIDATES], whole[reranking.CANDIDATES :]
    value |= {item: scores[item] for item in others}
    for item in first if usual else []:
        likeliest = sorted((float(embeddings[item] @ text) for text in usual), reverse=True)[:5]
        value[item] -= 0.5 * np.mean(likeliest)
    expected = sorted(first, key=lambda item: -value[item]) + others
    texts_known = np.array(usual, np.float32).reshape(-1, 8)
    features = embeddings.__getitem__
    rank = reranking.of_words(scores, features, near, texts_known, mask if filtered else None)
    found = highest(rank, mask, items).tolist()
    assert sorted(found) == sorted(expected)
    assert np.allclose([value[item] for item in found], [value[item] for item in expected], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(0, 99), st.lists(st.lists(st.integers(0, 399), max_size=40), max_size=5))
def test_neighbours_that_are_asked_for_are_those_of_all(items, seed, asked):
    copies = np.random.default_rng(seed).integers(0, items, items)
    index = index_types.build(random_embeddings(items, 8, seed))
    every, some = finish(neighbours.find(index, copies)), NeighboursAsked(index, copies)
    for rows in (np.array(one, np.int64) % items for one in asked):
        told, expected = some.at(rows), every.at(rows)
        assert np.array_equal(told.positions, expected.positions)
        assert np.allclose(told.scores, expected.scores)


def test_context_is_the_same_whether_all_neighbours_are_known(embedder, folder, tmp_path):
    """Also at other dimensions, and for who asks for more."""
    gallery = Gallery.create(tmp_path / "g", embedder)
    run_index(gallery, folder)
    images = [path.read_bytes() for path in sorted(folder.rglob("*.png"))[:5]]

    def ask() -> list[list[int]]:
        found = [
            search(gallery, [image], k, dim=d, rerank=True) for image in images for k in (3, 24) for d in (64, 256)
        ]
        return [[hit.record.id for hit in one.hits] for one in found]

    asked = ask()
    gallery.neighbours()
    assert ask() == asked


def test_context_of_nothing():
    index = index_types.build(random_embeddings(5, 4, 0))
    near = finish(neighbours.find(index, np.arange(5)))
    assert reranking.search_reranked(index, near, np.zeros((0, 4), np.float32), 3).positions.shape == (0, 3)


@given(st.integers(0, 50), st.integers(0, 2**32), st.booleans())
def test_rows_are_copied_whatever_follows_what(count, seed, most_follow):
    rng = np.random.default_rng(seed)
    source = rng.random((60, 3))
    drawn = (lambda: np.sort(rng.choice(60, count, False))) if most_follow else (lambda: rng.choice(60, count, False))
    rows, places, found, expected = drawn(), drawn(), np.zeros((60, 3)), np.zeros((60, 3))
    copy_rows(source, rows, found, places)
    expected[places] = source[rows]
    assert np.array_equal(found, expected)


def test_what_is_reranked_at_another_dimension_has_the_neighbours_of_that(gallery, folder):
    """As evaluating in context has them."""
    index, (current, near) = gallery.index(64)[1], gallery.neighbours()
    at_64 = finish(neighbours.find(index, current.columns.pictures))
    assert not np.array_equal(at_64.positions, near.positions)
    for path in sorted(folder.rglob("*.png"))[:8]:
        query = gallery.embedder.embed([path], 64)
        expected = reranking.search_reranked(index, at_64, query, 24).positions[0]
        found = [hit.record.id for hit in search(gallery, [path], 24, dim=64, rerank=True).hits]
        assert found == current.columns.ids[expected].tolist()
