"""Nearest neighbours: whatever proposes candidates, the answers are those of sorting every similarity."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.vectors import clustered, overlap
from unifex.core.vectors import l2_normalize
from unifex.vector_index import exact, index_types
from unifex.vector_index.candidates import EVERYTHING, Vectors
from unifex.vector_index.flat_index import FlatIndex
from unifex.vector_index.ivf_index import IVFIndex
from unifex.vector_index.matches import Exclusion


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    return l2_normalize(np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32), dim)


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return clustered(6000)


@pytest.fixture(scope="module")
def lists(embeddings) -> exact.VectorIndex:
    index = index_types.build(embeddings, "lists")
    assert isinstance(index.candidates, IVFIndex)
    return index


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 30), st.floats(0, 1), st.sampled_from(["flat", "lists"]))
def test_against_sorting(rows, k, share, kind):
    embeddings, queries = unit(rows, 16, 1), unit(3, 16, 2)
    mask = np.random.default_rng(3).random(rows) < share
    matches = index_types.build(embeddings, kind).search(queries, k, Exclusion(mask))
    for query, found, score in zip(queries, matches.positions, matches.scores):
        similarity = np.where(mask, embeddings @ query, -np.inf)
        expected = np.argsort(-similarity, kind="stable")[: min(k, mask.sum())]
        assert np.array_equal(found, expected)
        assert np.allclose(score, similarity[expected], atol=1e-5)


@pytest.mark.parametrize("kind", ["flat", "lists"])
def test_equal_vectors_come_in_order_of_position(kind):
    embeddings = np.repeat(unit(3, 16, 1), 4, axis=0)
    matches = index_types.build(embeddings, kind).search(embeddings[:1], 4)
    assert matches.positions[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("k", [1, 10, 100, 1000])
def test_lists_find_what_exact_search_finds(lists, embeddings, k):
    queries = clustered(40, seed=1)
    scan = index_types.build(embeddings)
    assert lists.candidates.recall >= 0.99
    assert overlap(lists.search(queries, k).positions, scan.search(queries, k).positions) >= 0.98


def test_a_filter_loses_no_hit_however_far_away_it_leaves_them(lists, embeddings):
    queries = clustered(40, seed=1)
    scan = index_types.build(embeddings)
    far = embeddings @ queries.mean(0) < 0.0
    for mask in (np.random.default_rng(0).random(6000) < 0.1, far):
        found, expected = (index.search(queries, 10, Exclusion(mask)).positions for index in (lists, scan))
        assert overlap(found, expected) >= 0.99
        assert all(mask[row].all() for row in found)


def test_what_is_left_when_all_that_is_near_is_of_the_own_group(lists, embeddings):
    nearest = index_types.build(embeddings).search(embeddings[:20], 2500).positions
    scan = index_types.build(embeddings)
    for row, near in enumerate(nearest):
        groups = np.zeros(len(embeddings), np.int64)
        groups[near] = 1
        excluded = Exclusion(None, np.ones(1, np.int64), groups)
        found, expected = (
            index.search(embeddings[row : row + 1], 5, excluded, budget).positions
            for index, budget in ((lists, EVERYTHING), (scan, 1))
        )
        assert overlap(found, expected) >= 0.8


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.integers(0, 9), st.integers(1, 9), st.sampled_from([None, 0, 0.5]), st.integers(1, 100))
def test_the_best_that_is_not_of_the_own_group(rows, asked, groups, share, block):
    rng = np.random.default_rng(rows)
    embeddings, queries = unit(rows, 16, 1), unit(asked, 16, 2)
    group, own = rng.integers(0, groups, rows), rng.integers(0, groups + 2, asked)  # a group may have no item
    mask = None if share is None else rng.random(rows) < share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "BLOCK_ITEMS", block)
        found = exact.best_outside(queries, own, embeddings, group, mask)
    left = (group != own[:, None]) & (True if mask is None else mask)
    expected = np.where(left, queries @ embeddings.T, -np.inf).max(axis=1, initial=-np.inf)
    assert found == pytest.approx(expected, abs=1e-6)


def test_adding_and_removing_gives_what_building_anew_gives(embeddings):
    keys = np.arange(0, 2 * len(embeddings), 2) + 7
    index = index_types.of(Vectors.keyed(embeddings[:5000], keys[:5000]), IVFIndex)
    stays = np.r_[0:1000, 1500:6000]
    changed = index_types.of(Vectors.keyed(embeddings[stays], keys[stays]), last=index.candidates)
    assert changed.candidates.made_for == 5000
    assert changed.candidates.index.ntotal == len(stays)
    queries = clustered(40, seed=1)
    expected = index_types.build(embeddings[stays]).search(queries, 10).positions
    assert overlap(changed.search(queries, 10).positions, expected) >= 0.99
    before = index_types.build(embeddings[:5000]).search(queries, 10).positions
    assert overlap(index.search(queries, 10).positions, before) >= 0.99  # who searches the old one goes on


def test_lists_that_are_outgrown_are_made_anew(embeddings, monkeypatch):
    monkeypatch.setattr(FlatIndex, "max_vectors", 0)
    index = index_types.build(embeddings[:2000])
    assert index_types.of(Vectors.of(embeddings), last=index.candidates).candidates.made_for == 6000


def test_lists_are_kept_on_disk(lists, embeddings, tmp_path):
    values = lists.candidates.save(tmp_path / "index.faiss")
    keys, file = np.arange(len(embeddings)), (tmp_path / "index.faiss").open("rb")
    loaded = exact.VectorIndex(embeddings, IVFIndex.load(file, keys, values))
    found, expected = (index.search(embeddings[:5], 10) for index in (loaded, lists))
    assert np.array_equal(found.positions, expected.positions)
    assert np.array_equal(found.scores, expected.scores)
    with pytest.raises(RuntimeError, match="expected 10"):
        IVFIndex.load((tmp_path / "index.faiss").open("rb"), keys[:10], values)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 80), st.integers(1, 12), st.integers(1, 9), st.floats(0, 1), st.integers(1, 90))
def test_the_nearest_of_all_are_those_of_any_search(rows, k, groups, share, block):
    embeddings, rng = unit(rows, 8, rows), np.random.default_rng(block)
    own, mask = rng.integers(0, groups, rows), rng.random(rows) < share
    for excluded in (Exclusion(), Exclusion(mask), Exclusion.own(own, slice(0, 5), mask)):
        expected = index_types.build(embeddings, "flat").search(embeddings[:5], k, excluded)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "BLOCK_ITEMS", block)
            found = exact.nearest_of_all(embeddings[:5], k, embeddings, excluded)
        assert np.array_equal(found.positions, expected.positions)
        assert np.allclose(found.scores[found.found], expected.scores[found.found], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 99), st.integers(1, 9), st.floats(0, 1), st.integers(1, 40))
def test_ranking_all_is_what_looking_up_each_is(rows, k, different, share, block):
    """However many are equal, and whatever is left out."""
    rng = np.random.default_rng(block)
    embeddings = np.concatenate([unit(rows, 8, rows), np.eye(8, dtype=np.float32)])
    embeddings = embeddings[rng.integers(0, min(different, rows) + 8, rows + 8)]
    own, mask = rng.integers(0, different, len(embeddings)), rng.random(len(embeddings)) < share
    index = index_types.build(embeddings, "flat")
    for excluded in (Exclusion(), Exclusion(mask), Exclusion.own(own, slice(None), mask)):
        expected = index.search(embeddings, k, excluded)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "DEEP", 1)
            patch.setattr(exact, "BLOCK_ITEMS", block)
            patch.setattr(exact, "RANKED_AT_ONCE", 7 * block)
            found = index.search(embeddings, k, excluded)
        assert np.array_equal(found.positions, expected.positions)
        assert np.array_equal(found.scores, expected.scores)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 99),
    st.lists(st.integers(1, 1100), min_size=2, max_size=5),
    st.sampled_from([None, 0.02, 0.6]),
    st.booleans(),
    st.integers(1, 400),
)
def test_a_longer_answer_begins_with_a_shorter_one(lists, seed, depths, share, grouped, probes):
    """However few lists are looked at, so that much is missed; also among a part, and without the own group."""
    index = exact.VectorIndex(
        lists.embeddings, replace(lists.candidates, probes=min(2, probes), candidates=max(10, probes))
    )
    rng = np.random.default_rng(seed)
    mask = None if share is None else rng.random(len(lists.embeddings)) < share
    groups = rng.integers(0, 40, len(lists.embeddings)) if grouped else None
    excluded = Exclusion(mask) if groups is None else Exclusion(mask, groups[:3], groups)
    answers = [index.search(unit(3, lists.embeddings.shape[1], seed), k, excluded) for k in sorted(depths)]
    for shorter, longer in itertools.pairwise(answers):
        width = shorter.positions.shape[1]
        assert np.array_equal(longer.positions[:, :width], shorter.positions)
        assert np.array_equal(longer.scores[:, :width], shorter.scores)
    for row, scores in zip(answers[-1].positions, answers[-1].scores):
        assert len(np.unique(row[row >= 0])) == (row >= 0).sum()
        first = scores[:100][row[:100] >= 0]
        assert (first[1:] <= first[:-1]).all()
