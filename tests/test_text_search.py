"""Words search a gallery whose backbone knows words: against a slow computation by open_clip itself."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.support import drawing, tiny_clip
from tests.support.galleries import run_index
from unifex.core.errors import UnifexError
from unifex.gallery.gallery import Gallery
from unifex.models import zoo
from unifex.models.backbones import BackboneError
from unifex.models.embedder import Embedder
from unifex.models.engines import load_text_tower
from unifex.retrieval.feedback import WEIGHTS
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.retrieval.text_search import both


@pytest.fixture(scope="module")
def folder_of_tiny(tmp_path_factory):
    return tiny_clip.write(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def worded(tmp_path_factory, folder_of_tiny):
    root = tmp_path_factory.mktemp("worded")
    gallery = Gallery.create(root / "worded", Embedder.load(f"raw:local-dir:{folder_of_tiny}"))
    run_index(gallery, drawing.write_folder(root / "pictures"))
    return gallery


@pytest.fixture(scope="module")
def reference(worded, folder_of_tiny):
    """Cosines of every item, by path, with texts and with pictures, item by item."""
    import open_clip
    from PIL import Image

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder_of_tiny}")
    model.eval()
    records = worded.records(worded.snapshot().columns.ids)
    with torch.inference_mode():
        features = {
            record.path: model.encode_image(transform(Image.open(record.uri).convert("RGB"))[None], normalize=True)[0]
            for record in records
        }

        def cosines(text: str = "", path: str = "") -> dict[str, float]:
            query = features[path]
            if text:
                query = model.encode_text(open_clip.tokenize([text]), normalize=True)[0]
            return {name: float(feature @ query) for name, feature in features.items()}

        yield cosines


def first(worded) -> str:
    return worded.records(worded.snapshot().columns.ids[:1])[0].path


def test_words_find_what_the_library_finds(worded, reference):
    expected = reference(text="a red disc", path=first(worded))
    result = search(worded, Query(text="a red disc"), k=24)
    assert {hit.path: hit.score for hit in result.hits} == pytest.approx(expected, abs=3e-3)
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.rank for hit in result.hits] == list(range(1, 25))
    assert result.out_of_gallery is None
    assert all(hit.probability is None for hit in result.hits)


def test_the_neighbourhood_ranks_what_words_find(worded, reference):
    """By loops: how well the words fit an item and its 5 nearest; similarities stay."""
    cosines = reference(text="a red disc", path=first(worded))
    snapshot, near = worded.neighbours()
    names = [record.path for record in worded.records(snapshot.columns.ids)]
    rank = {}
    for name, positions, alike in zip(names, near.positions, near.scores, strict=True):
        others = [(max(s, 0) ** 3, cosines[names[p]]) for p, s in zip(positions[:5], alike[:5]) if p >= 0]
        total = 1 + sum(weight for weight, _ in others)
        rank[name] = (cosines[name] + sum(weight * cosine for weight, cosine in others)) / total
    result = search(worded, Query(text="a red disc"), 24, rerank=True)
    assert result.reranked
    assert {hit.path: hit.score for hit in result.hits} == pytest.approx(cosines, abs=3e-3)
    spread = max(rank.values()) - min(rank.values())
    assert np.diff([rank[hit.path] for hit in result.hits]).max() < 0.03 * spread
    assert [hit.path for hit in result.hits] != [hit.path for hit in search(worded, Query(text="a red disc"), 24).hits]
    for others in ({"items": (result.hits[0].record.id,)}, {"more": (result.hits[0].record.id,)}):
        assert not search(worded, Query(text="a red disc", **others), 5, rerank=True).reranked


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
def test_words_and_an_image_are_multiplied_above_their_means(worded, reference, weight):
    path = first(worded)
    words, image = reference(text="a red disc", path=path), reference(path=path)
    mixed = {}
    for name in words:
        said, shown = words[name] - np.mean(list(words.values())), image[name] - np.mean(list(image.values()))
        mixed[name] = said**weight * shown ** (1 - weight) if said > 0 and shown > 0 else min(said, shown)
    record = worded.item_at(path)
    result = search(worded, Query((record.uri,), text="a red disc", text_weight=weight), 24)
    found = [mixed[hit.path] for hit in result.hits]
    spread = max(mixed.values()) - min(mixed.values())
    assert np.diff(found).max() < 0.03 * spread  # the same order, but for what float16 features cannot tell apart
    assert np.diff([hit.score for hit in result.hits]).max() <= 0
    by_item = search(worded, Query(items=(record.id,), text="a red disc", text_weight=weight), 24)
    assert path not in [hit.path for hit in by_item.hits]
    assert len(by_item.hits) == 23


@given(
    st.integers(1, 40).flatmap(lambda n: arrays(np.float32, (2, n), elements=st.floats(-1, 1, width=16))),
    st.floats(0.05, 0.95),
)
def test_both_orders_as_standardised_scores_multiplied_do(cosines, weight):
    scores = both(cosines, (weight, 1 - weight))
    assert scores.shape == cosines.shape[1:]
    assert np.abs(scores).max() <= 2
    standardised = (cosines - cosines.mean(axis=1, keepdims=True)) / np.maximum(
        cosines.std(axis=1, keepdims=True), 1e-6
    )
    product = np.prod(np.maximum(standardised, 0) ** np.array([[weight], [1 - weight]]), axis=0)
    order = np.argsort(-scores, kind="stable")
    assert np.diff(product[order]).max(initial=0) <= 1e-3 * product.max()
    assert (scores[product > 1e-3].min(initial=np.inf)) >= scores[product == 0].max(initial=-np.inf)


def test_marks_count_in_units_of_their_spread(worded, reference):
    more, less = (worded.records(worded.snapshot().columns.ids[[at]])[0] for at in (9, 20))
    words = reference(text="a red disc", path=first(worded))
    parts = ((words, 1.0), (reference(path=more.path), WEIGHTS.liked), (reference(path=less.path), -WEIGHTS.disliked))
    mixed = {name: sum(w * part[name] / np.std(list(part.values())) for part, w in parts) for name in words}
    result = search(worded, Query(text="a red disc", more=(more.id,), less=(less.id,)), 24)
    found = [mixed[hit.path] for hit in result.hits]
    assert len(found) == 23
    assert less.path not in [hit.path for hit in result.hits]
    assert np.diff(found).max() < 0.01 * (max(mixed.values()) - min(mixed.values()))


def test_at_the_ends_of_the_balance_only_one_counts(worded):
    picture = worded.item_at(first(worded)).uri
    words = [hit.path for hit in search(worded, Query(text="a dog"), k=24).hits]
    assert [hit.path for hit in search(worded, Query((picture,), text="a dog", text_weight=1), 24).hits] == words
    alone = [hit.path for hit in search(worded, [picture], 5).hits]
    assert [hit.path for hit in search(worded, Query((picture,), text="a dog", text_weight=0), 5).hits] == alone


def test_filters_hold_for_words(worded):
    everything = search(worded, Query(text="a dog"), k=24).hits
    domain = everything[0].domain
    inside = search(worded, Query(text="a dog"), k=24, filters=Filters(domains=(domain,))).hits
    assert [hit.path for hit in inside] == [hit.path for hit in everything if hit.domain == domain]
    least = everything[3].score
    assert len(search(worded, Query(text="a dog"), k=24, filters=Filters(min_score=least)).hits) == 4


def test_names_that_come_first_hide_nothing_that_is_alike_enough(worded):
    """What has the words in its label comes first, however little alike it looks."""
    everything = search(worded, Query(text="cross"), k=24)
    assert everything.named == 6
    ranked = sorted((hit.score for hit in everything.hits), reverse=True)
    for least in (ranked[2], ranked[8], ranked[15]):
        alike = [hit.path for hit in everything.hits if hit.score >= least]
        for k in (1, 5, 24):
            found = search(worded, Query(text="cross"), k=k, filters=Filters(min_score=least))
            assert [hit.path for hit in found.hits] == alike[:k]
            assert found.named == sum("cross" in path for path in alike[:k])


def test_copies_are_folded_among_hits_of_words(worded, tmp_path):
    record = worded.item_at(first(worded))
    copy = tmp_path / "copy.png"
    copy.write_bytes(worded.original(record))
    run_index(worded, copy)
    try:
        plain = search(worded, Query(text="a dog"), 25).hits
        for given in ({"text": "a dog"}, {"text": "a dog", "images": (record.uri,)}):
            folded = search(worded, Query(**given), 25, fold="bytes").hits
            assert len(folded) == len(plain) - 1 == 24
            assert [hit.rank for hit in folded] == list(range(1, 25))
            assert {hit.path: hit.copies for hit in folded if hit.copies} in (
                {record.path: (worded.item_at("copy.png").id,)},
                {"copy.png": (record.id,)},
            )
        few = search(worded, Query(text="a dog"), 3, fold="bytes").hits
        assert [hit.path for hit in few] == [
            hit.path for hit in search(worded, Query(text="a dog"), 25, fold="bytes").hits[:3]
        ]
        with pytest.raises(UnifexError, match="no level 'roughly'"):
            search(worded, Query(text="a dog"), fold="roughly")
    finally:
        with worded.write() as writer:
            writer.remove([worded.item_at("copy.png").id])


def test_new_items_are_found_by_words_at_once(worded, tmp_path):
    drawing.picture("shapes/disc", 77).save(tmp_path / "new.png")
    run_index(worded, tmp_path / "new.png")
    try:
        assert "new.png" in [hit.path for hit in search(worded, Query(text="a dog"), k=100).hits]
    finally:
        with worded.write() as writer:
            writer.remove([worded.item_at("new.png").id])


@pytest.mark.parametrize(
    ("query", "options", "sentence"),
    [
        ({"text": "  "}, {}, "characters of words"),
        ({"text": "x" * 2000}, {}, "characters of words"),
        ({"text": "dog"}, {"k": 0}, "k must be"),
        ({"text": "dog", "text_weight": 1.5}, {}, "balance must be"),
        ({"text": "dog"}, {"filters": Filters(false_accept_rate=0.1)}, "nothing about words"),
    ],
)
def test_a_query_that_is_wrong_says_so(worded, query, options, sentence):
    with pytest.raises(UnifexError, match=sentence):
        search(worded, Query(**query), **options)


def test_a_backbone_without_words_says_so():
    with pytest.raises(BackboneError, match="knows no words"):
        load_text_tower(zoo.get("timm:vit_small_patch14_dinov2.lvd142m"))


def test_an_empty_gallery_has_no_hits(tmp_path, folder_of_tiny):
    empty = Gallery.create(tmp_path / "empty", Embedder.load(f"raw:local-dir:{folder_of_tiny}"))
    assert search(empty, Query(text="a dog")).hits == search(empty, Query(text="a dog"), rerank=True).hits == []
