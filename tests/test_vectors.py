"""Nearest neighbours: whatever proposes candidates, the answers are those of sorting every similarity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unifex.core.vectors import l2_normalize
from unifex.vector_index import exact
from unifex.vector_index.candidates import Lists


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    return l2_normalize(np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32), dim)


def clustered(rows: int, seed: int = 0) -> np.ndarray:
    """Embeddings as necks give them: alike in groups, and most of what there is to tell in the first dimensions."""
    rng = np.random.default_rng(seed)
    scale = np.linspace(1.5, 0.3, 256, dtype=np.float32)
    centres = np.random.default_rng(0).standard_normal((300, 256)).astype(np.float32) * scale
    noise = rng.standard_normal((rows, 256)).astype(np.float32) * scale
    return l2_normalize(centres[rng.integers(0, 300, rows)] + 0.7 * noise, 256)


def overlap(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, expected)]))


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return clustered(6000)


@pytest.fixture(scope="module")
def lists(embeddings) -> exact.VectorIndex:
    index = exact.build(embeddings, flat_limit=0)
    assert isinstance(index.shortlist, Lists)
    return index


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 30), st.floats(0, 1), st.booleans())
def test_against_sorting(rows, k, share, flat):
    embeddings, queries = unit(rows, 16, 1), unit(3, 16, 2)
    allowed = np.random.default_rng(3).random(rows) < share
    scores, positions = exact.build(embeddings, None if flat else 0).search(queries, k, allowed)
    for query, found, score in zip(queries, positions, scores):
        similarity = np.where(allowed, embeddings @ query, -np.inf)
        expected = np.argsort(-similarity, kind="stable")[: min(k, allowed.sum())]
        assert np.array_equal(found, expected)
        assert np.allclose(score, similarity[expected], atol=1e-5)


@pytest.mark.parametrize("flat_limit", [0, None])
def test_equal_vectors_come_in_order_of_position(flat_limit):
    embeddings = np.repeat(unit(3, 16, 1), 4, axis=0)
    _, positions = exact.build(embeddings, flat_limit).search(embeddings[:1], 4)
    assert positions[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("k", [1, 10, 100, 1000])
def test_lists_find_what_exact_search_finds(lists, embeddings, k):
    queries = clustered(40, seed=1)
    scan = exact.build(embeddings)
    assert lists.shortlist.recall >= 0.99
    assert overlap(lists.search(queries, k)[1], scan.search(queries, k)[1]) >= 0.98


def test_a_filter_loses_no_hit_however_far_away_it_leaves_them(lists, embeddings):
    queries = clustered(40, seed=1)
    scan = exact.build(embeddings)
    far = embeddings @ queries.mean(0) < 0.0
    for allowed in (np.random.default_rng(0).random(6000) < 0.1, far):
        found, expected = (index.search(queries, 10, allowed)[1] for index in (lists, scan))
        assert overlap(found, expected) >= 0.99
        assert all(allowed[row].all() for row in found)


def test_what_is_left_when_all_that_is_near_is_of_the_own_group(lists, embeddings):
    nearest = exact.build(embeddings).search(embeddings[:20], 2500)[1]
    scan = exact.build(embeddings)
    for row, near in enumerate(nearest):
        groups = np.zeros(len(embeddings), np.int64)
        groups[near] = 1
        found, expected = (
            index.search(embeddings[row : row + 1], 5, None, (np.ones(1, np.int64), groups), effort)[1]
            for index, effort in ((lists, exact.EVERYTHING), (scan, 1))
        )
        assert overlap(found, expected) >= 0.8


def test_adding_and_removing_gives_what_building_anew_gives(embeddings):
    keys = np.arange(0, 2 * len(embeddings), 2) + 7
    index = exact.build(embeddings[:5000], 0, keys[:5000])
    stays = np.r_[0:1000, 1500:6000]
    changed = exact.renewed(index.shortlist, embeddings[stays], keys[stays])
    assert changed.shortlist.made_for == 5000
    assert changed.shortlist.index.ntotal == len(stays)
    queries = clustered(40, seed=1)
    expected = exact.build(embeddings[stays]).search(queries, 10)[1]
    assert overlap(changed.search(queries, 10)[1], expected) >= 0.99
    before = exact.build(embeddings[:5000]).search(queries, 10)[1]
    assert overlap(index.search(queries, 10)[1], before) >= 0.99  # whoever still searches the old one is not disturbed


def test_lists_that_are_outgrown_are_made_anew(embeddings, monkeypatch):
    monkeypatch.setattr(exact, "FLAT_LIMIT", 0)
    index = exact.build(embeddings[:2000])
    assert exact.renewed(index.shortlist, embeddings, np.arange(6000)).shortlist.made_for == 6000


def test_lists_are_kept_on_disk(lists, embeddings, tmp_path):
    values = lists.shortlist.save(tmp_path / "index.faiss")
    keys, file = np.arange(len(embeddings)), (tmp_path / "index.faiss").open("rb")
    loaded = exact.VectorIndex(embeddings, Lists.load(file, keys, values))
    for found, expected in zip(loaded.search(embeddings[:5], 10), lists.search(embeddings[:5], 10)):
        assert np.array_equal(found, expected)
    with pytest.raises(RuntimeError, match="expected 10"):
        Lists.load((tmp_path / "index.faiss").open("rb"), keys[:10], values)
