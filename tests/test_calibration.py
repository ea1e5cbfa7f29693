import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.splits import make_columns
from unifex.core import derived, ranges
from unifex.core.errors import UnifexError
from unifex.core.vectors import l2_normalize
from unifex.gallery import calibration, corrections
from unifex.gallery.calibration import Calibration, CalibrationError, Labelled, calibrate, fit_probability
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import Snapshot
from unifex.retrieval import reranking
from unifex.retrieval.feedback import MarkedQuery
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui.context import DEMO_GALLERY
from unifex.vector_index import index_types
from unifex.vector_index.exact import VectorIndex, nearest_of_all


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, embedder):
    """A gallery with enough right and wrong pairs."""
    base = tmp_path_factory.mktemp("calibration")
    gallery = Gallery.create(base / "indexes" / "g", embedder)
    run_index(gallery, write_folder(base / "pictures", views=12))
    return gallery


def test_hits_among_other_things_are_of_their_rank_among_all(demo):
    """What is first in another domain is not first in the gallery."""
    gallery = Gallery.open(demo / DEMO_GALLERY)
    current, found = gallery.snapshot(), gallery.calibration()
    cosines = current.embeddings @ current.embeddings.T
    for at in range(0, len(current), 20):
        (record,) = gallery.records(current.columns.ids[[at]])
        others = tuple(name for name in current.columns.domains.names if name != record.domain)[:2]
        told = search(gallery, Query(items=(record.id,)), 3, Filters(domains=others))
        assert told.out_of_gallery is None
        better = np.delete(cosines[at], at)
        for hit in told.hits:
            rank = 1 + int((better > hit.score + 1e-6).sum())
            chance = found.chances(np.array([hit.score]), float(better.max()), np.array([rank]))[0]
            assert hit.probability == pytest.approx(chance, abs=0.02)


def test_the_chance_is_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    similarity = rng.uniform(-0.2, 1, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-(7 * similarity - 4)))
    slope, intercept = fit_probability(similarity, right)
    theirs = LogisticRegression(C=1e9, tol=1e-9).fit(similarity[:, None], right)
    assert slope == pytest.approx(theirs.coef_[0, 0], rel=0.02)  # Platt's targets pull a little
    assert intercept == pytest.approx(theirs.intercept_[0], rel=0.02)


def test_separable_pairs_stay_finite():
    slope, intercept = fit_probability(np.array([0.1] * 30 + [0.9] * 30), np.array([False] * 30 + [True] * 30))
    assert np.isfinite([slope, intercept]).all()
    assert 1 / (1 + np.exp(-(slope * 0.9 + intercept))) > 0.9


def test_thresholds_mean_what_they_say(labelled):
    """Against brute force: queries whose whole label is taken away pass a threshold as rarely as it promises."""
    found, current = labelled.calibration(), labelled.snapshot()
    classes = current.columns.classes
    cosines = current.embeddings @ current.embeddings.T
    out_of_gallery = np.array([row[classes != own].max() for row, own in zip(cosines, classes)])
    for share in (0.05, 0.1, 0.25):  # two strangers that are nearest to each other pass or fail together
        assert np.mean(out_of_gallery >= found.threshold(share)) == pytest.approx(share, abs=2 / len(classes))
    assert found.threshold(0.01) >= found.threshold(0.2)
    assert 0 <= found.kept(found.threshold(0.05)) <= found.kept(found.threshold(0.25)) <= 1
    chances = found.probability(np.linspace(-1, 1, 9))
    assert (np.diff(chances) > 0).all()
    with pytest.raises(UnifexError, match="between 0 and 100"):
        found.threshold(0)
    assert found.threshold(1) == min(found.out_of_gallery)
    most = ranges.FALSE_ACCEPT_RATE.high / 100
    assert search(labelled, Query(items=(1,)), 3, Filters(false_accept_rate=most)).hits


def test_strangers_are_of_classes_that_the_model_has_not_learned_where_there_are_enough(tmp_path, embedder):
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures", views=55, side=64))
    current = gallery.snapshot()
    classes = current.columns.classes
    first, second, *_ = np.unique(classes)
    plain, known = calibrate(current), calibrate(current, [first, second])
    new = ~np.isin(classes, [first, second])
    assert new.sum() == 110
    cosines = current.embeddings @ current.embeddings.T
    strangers = np.array([row[classes != own].max() for row, own in zip(cosines[new], classes[new])])
    for share in (0.05, 0.1, 0.25):
        assert np.mean(strangers >= known.threshold(share)) == pytest.approx(share, abs=2 / len(strangers))
    assert len(known.out_of_gallery) == len(strangers) < len(plain.out_of_gallery)
    assert (known.hit, known.in_gallery) == (plain.hit, plain.in_gallery)
    assert calibrate(current, np.unique(classes)[1:]) == plain  # 55 of the only other one are too few


def test_classes_of_one_image_tell_nothing_of_what_is_there():
    """A training leaves them out, so that all of them are new to it."""
    rng = np.random.default_rng(0)
    labels = [*(f"many{number // 5}" for number in range(300)), *(f"lone{number}" for number in range(160))]
    middles = rng.standard_normal((220, 16))
    places = [*(number // 5 for number in range(300)), *range(60, 220)]
    drawn = l2_normalize((middles[places] + 0.6 * rng.standard_normal((460, 16))).astype(np.float32), 16)
    current = Snapshot(
        make_columns(labels), "neck", index_types.build(drawn, "flat"), lambda: pytest.fail("not asked for")
    )
    many = np.unique(current.columns.classes[:300])
    assert calibrate(current, many) == calibrate(current)
    assert calibrate(current, many[:10]) != calibrate(current)


def test_it_is_kept_and_follows_the_gallery(labelled, embedder):
    first = labelled.calibration()
    assert labelled.calibration() is first
    origin = labelled.origin("calibration", labelled.model_key)
    assert Calibration.read(labelled.folder / "calibration.json", origin) == first
    (labelled.folder / "calibration.json").write_text("[]")
    assert Gallery.open(labelled.folder, embedder).calibration() == first


def test_search_says_what_it_trusts(labelled):
    query = encoded(picture("signs/cross", 3))
    result = search(labelled, [query], 10)
    assert result.hits[0].probability == pytest.approx(float(labelled.calibration().probability(result.hits[0].score)))
    assert result.out_of_gallery is False
    assert result.hits[0].as_json()["chance"] == pytest.approx(result.hits[0].probability, abs=1e-4)
    least = labelled.calibration().threshold(0.05)
    trusted = search(labelled, [query], 48, Filters(false_accept_rate=0.05))
    assert trusted.hits
    assert all(hit.score >= least for hit in trusted.hits)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)

    strange = search(labelled, [Image.fromarray(noise)], 5)
    assert strange.out_of_gallery is True
    assert search(labelled, [Image.fromarray(noise)], 5, Filters(domains=("signs",))).out_of_gallery is None  # a part
    assert search(labelled, [Image.fromarray(noise)], 5, Filters(false_accept_rate=0.05)).hits == []


def test_labels_that_say_the_opposite_tell_nothing(tmp_path, embedder):
    """Every picture stands under two labels, all but alike: what is most alike is wrong."""
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    for view in range(24):
        image = picture("signs/cross", view)
        for label, lighter in (("first", 0), ("second", 1)):
            path = tmp_path / "pictures" / label / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(ImageChops.add(image, Image.new("RGB", image.size, (lighter,) * 3))))
    run_index(gallery, tmp_path / "pictures")
    with pytest.raises(CalibrationError, match="no more alike here"):
        gallery.calibration()
    result = search(gallery, [tmp_path / "pictures" / "first" / "3.png"], 5)
    assert result.out_of_gallery is None
    assert result.hits[0].probability is None


COEFFICIENTS = st.floats(-50, 50)


@given(
    st.tuples(st.floats(0, 50), *[COEFFICIENTS] * 3),
    st.tuples(*[COEFFICIENTS] * 2),
    st.lists(st.floats(-1, 1), min_size=1),
)
def test_what_is_said_of_strangers_does_not_contradict_the_chances_of_their_hits(hit, first, scores):
    found, best = Calibration(hit, 160, first, (), (), 0, "", "", 64), max(scores)
    told = found.chances(np.array(scores), best)
    assert (told <= found.chances(np.array(scores))).all()
    if found.is_stranger(best):
        assert (told < 0.5).all()
        assert not found.is_stranger(1.0) or found.probability_of_first(1.0) >= found.probability_of_first(best)


def drawn_gallery(labels: int, each: int, seed: int = 0, unlabelled: float = 0.0) -> tuple[Snapshot, np.ndarray]:
    """Clouds around as many points, and the label of each item as a number, which a part of them is not told."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(labels), each)
    places = rng.standard_normal((labels, 32))[numbers] + 0.9 * rng.standard_normal((len(numbers), 32))
    names = np.where(rng.random(len(numbers)) < unlabelled, "", numbers.astype(str))
    index = index_types.build(l2_normalize(places.astype(np.float32), 32), "flat")
    return Snapshot(make_columns(names.tolist()), "neck", index, lambda: pytest.fail("not asked for")), numbers


@pytest.mark.parametrize(("labels", "each", "unlabelled"), [(40, 15, 0.0), (100, 4, 0.0), (40, 15, 0.5)])
def test_chances_hold_however_many_hits_are_asked_for(labels, each, unlabelled):
    """Told against right, of what items find among all others, with a label or without one."""
    snapshot, numbers = drawn_gallery(labels, each, unlabelled=unlabelled)
    found = calibrate(snapshot)
    matches = snapshot.index.search(snapshot.embeddings, 101)
    scores, right = matches.scores[:, 1:], (numbers[matches.positions] == numbers[:, None])[:, 1:]
    told = np.array([found.chances(row) for row in scores])
    for k in (1, 5, 10, 20, 50, 100):
        assert told[:, :k].mean() == pytest.approx(right[:, :k].mean(), abs=0.05)


def test_many_pictures_of_a_label_do_not_hide_what_is_not_there():
    """What is not in the gallery is said to be so, whether a label has three pictures or twenty."""
    for each in (3, 20):
        snapshot, numbers = drawn_gallery(2 * 30, each, seed=1)
        here = numbers < 30
        part = Snapshot(
            make_columns(numbers[here].tolist()), "neck", index_types.build(snapshot.embeddings[here], "flat"),
            lambda: pytest.fail("not asked for"),
        )  # fmt: skip
        found = calibrate(part)
        strangers = part.index.search(snapshot.embeddings[~here], 1).scores[:, 0]
        own = part.index.search(part.embeddings, 2).scores[:, 1]
        assert np.mean([found.is_stranger(score) for score in strangers]) > 0.6
        assert np.mean([found.is_stranger(score) for score in own]) < 0.1


def test_what_an_earlier_version_kept_is_made_anew_without_a_word(labelled, embedder, caplog):
    path, origin = labelled.folder / "calibration.json", labelled.origin("calibration", labelled.model_key)
    first = labelled.calibration()
    values = {"hit": [7.0, -4.0], "here": [7.0, -4.0], "strangers": [0.1], "natives": [0.9], "pairs": 40}
    kept = {"labelling": first.labelling, "neck_hash": first.neck_hash, "dim": first.dim}
    derived.write_json(path, values | kept, origin)
    with caplog.at_level("INFO"):
        assert Gallery.open(labelled.folder, embedder).calibration() == first
    assert not caplog.records


def test_a_writer_that_was_killed_leaves_no_old_calibration(tmp_path, embedder):
    folder = write_folder(tmp_path / "pictures", views=12)
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, folder)
    first = gallery.calibration()
    with gallery.write() as writer:
        writer.remove(gallery.snapshot().columns.ids[:3].tolist())
        assert gallery.calibration() == first  # it is written: a new one for every commit would cost the next search
    gallery.database.writing_path.touch()  # what is left by who was killed
    assert gallery.calibration().labelling == gallery.snapshot().columns.labelling != first.labelling


def test_a_calibration_serves_while_little_has_changed_since_it_was_fitted(tmp_path, embedder, monkeypatch):
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures", views=12))
    monkeypatch.setattr(calibration, "LEAST_ITEMS", len(gallery))
    first, ids = gallery.calibration(), gallery.snapshot().columns.ids.tolist()
    few = int(calibration.LITTLE * len(ids))
    for item in gallery.records(ids[:few]):
        with gallery.write() as writer:
            writer.correct([corrections.relabel(item, "another")])
        assert gallery.calibration() is first
    with gallery.write() as writer:
        writer.remove(ids[-2:])  # with those that were relabelled, which is no matter of the last time alone
    second = gallery.calibration()
    assert second.labelling == gallery.snapshot().columns.labelling != first.labelling
    monkeypatch.undo()  # of few items it is fitted at once
    with gallery.write() as writer:
        writer.remove(ids[-3:-2])
    assert gallery.calibration().labelling == gallery.snapshot().columns.labelling


def test_that_labels_cannot_tell_is_not_found_out_again_after_every_commit(tmp_path, embedder, monkeypatch):
    compared = []
    count = lambda *asked: compared.append(1) or nearest_of_all(*asked)  # noqa: E731
    monkeypatch.setattr(calibration, "nearest_of_all", count)
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures", views=12))
    ids = gallery.snapshot().columns.ids

    def relabel(labels) -> None:
        changed = [corrections.relabel(record, label) for record, label in zip(gallery.records(ids), labels)]
        with gallery.write() as writer:
            writer.correct(changed)

    def relabelled(labels) -> str:
        relabel(labels)
        with pytest.raises(CalibrationError) as told:
            gallery.calibration()
        return str(told.value)

    each = [f"label {number}" for number in range(len(ids))]
    assert "hardly any two" in relabelled(each)  # no two pictures share a label, and nothing need be compared
    assert "hardly any two" in relabelled(["one", "one"])
    assert not compared
    across = [str(number % 12) for number in range(len(ids))]  # a label has one of each thing
    assert "no more alike" in relabelled(across)
    monkeypatch.setattr(calibration, "LEAST_ITEMS", len(ids))
    assert "no more alike" in relabelled(["new"])
    assert len(compared) == 1
    relabel([record.path.split("/")[1] for record in gallery.records(ids)])
    assert gallery.calibration().labelling == gallery.snapshot().columns.labelling


def test_a_calibration_is_made_anew_where_the_few_labels_there_are_were_replaced():
    names = ["" if number % 50 else str(number % 7) for number in range(5000)]
    fitted = Labelled.of(make_columns(names))
    assert fitted.is_nearly(Labelled.of(make_columns(names)))
    others = ["" if not name else f"{name} else" for name in names]
    moved = [*names[1:], names[0]]
    for now in (others, moved, [*names, *[""] * 1000], [*names, *["new"] * 10]):
        assert not fitted.is_nearly(Labelled.of(make_columns(now)))
    few = [*names[:-60], *["" for _ in range(60)], *["" for _ in range(60)]]
    assert fitted.is_nearly(Labelled.of(make_columns(few)))


def test_however_few_search_strangers_are_of_classes_that_the_model_has_not_learned(monkeypatch):
    """Of a large gallery few are drawn, and few of these are new to the model."""
    snapshot, _ = drawn_gallery(80, 20)
    classes = snapshot.columns.classes
    learned = np.unique(classes)[:68]
    every = calibrate(snapshot, learned)
    monkeypatch.setattr(calibration, "MOST_COMPARED", 0)
    monkeypatch.setattr(calibration, "FEWEST_QUERIES", 300)
    few = calibrate(snapshot, learned)
    assert every.out_of_gallery == few.out_of_gallery
    assert len(few.out_of_gallery) == (~np.isin(classes, learned)).sum()
    assert (few.hit, few.in_gallery, few.pairs) == (lambda c: (c.hit, c.in_gallery, c.pairs))(calibrate(snapshot))


def test_of_many_items_fewer_search(monkeypatch):
    snapshot, _ = drawn_gallery(40, 10)
    monkeypatch.setattr(calibration, "MOST_COMPARED", 40_000)
    monkeypatch.setattr(calibration, "FEWEST_QUERIES", 50)
    few = calibrate(snapshot)
    monkeypatch.undo()
    every = calibrate(snapshot)
    assert few.pairs == every.pairs // 4
    assert few.threshold(0.2) == pytest.approx(every.threshold(0.2), abs=0.05)


def test_whether_it_is_here_does_not_hang_on_how_many_hits_are_asked_for(labelled):
    """Re-ranked, what is most alike may come late; and what was left out was there."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    left_out = frozenset(labelled.snapshot().columns.ids[:12].tolist())
    for image in (noise, picture("shapes/disc", 70), picture("signs/cross", 71)):
        plain = search(labelled, [image], 1)
        for k in (1, 5, 48):
            for rerank in (False, True):
                found = search(labelled, [image], k, rerank=rerank)
                assert found.out_of_gallery == plain.out_of_gallery
                assert [hit.probability for hit in found.hits][:1] == [
                    hit.probability for hit in search(labelled, [image], 1, rerank=rerank).hits
                ]
        assert search(labelled, [image], 5, Filters(exclude=left_out)).out_of_gallery is None
    assert search(labelled, Query(items=(int(min(left_out)),)), 5).out_of_gallery is False


def test_least_similarities_leave_out_nothing_that_reaches_them(labelled, monkeypatch):
    """Whatever the order: re-ranked, by the nearest mark, or moved away from what is wrong."""
    monkeypatch.setattr(reranking, "CANDIDATES", 8)
    ids = labelled.snapshot().columns.ids.tolist()
    for query, rerank in (
        (Query(items=(ids[0],)), False),
        (Query(items=(ids[0],)), True),
        (Query(items=(ids[0],), less=tuple(ids[2:9])), False),
        (Query(items=(ids[0],), more=(ids[14],), less=tuple(ids[2:6])), True),
        (Query(items=(ids[0],), more=(ids[30],), less=tuple(ids[2:6]), feedback="nearest"), False),
    ):
        whole = search(labelled, query, 48, rerank=rerank).hits
        for least in sorted(hit.score for hit in whole)[::5]:
            reach = [hit.record.id for hit in whole if hit.score >= least]
            for k in (1, 4, 48):
                found = search(labelled, query, k, Filters(min_score=least), rerank=rerank)
                assert len(found.hits) == min(k, len(reach))
                assert set(ids_of(found)) <= set(reach)
            assert set(ids_of(found)) == set(reach)


def ids_of(result: SearchResult) -> list[int]:
    return [hit.record.id for hit in result.hits]


def test_several_images_together_are_trusted_no_sooner(labelled):
    """The mean of several is more alike to anything than each of them is."""
    one, two = encoded(picture("signs/cross", 70)), encoded(picture("signs/cross", 71))
    alone = search(labelled, [one], 5, Filters(false_accept_rate=0.05))
    together = search(labelled, [one, two], 5, Filters(false_accept_rate=0.05))
    least = labelled.calibration().threshold(0.05)
    assert alone.trusted_from == least == search(labelled, [one, one], 5, Filters(false_accept_rate=0.05)).trusted_from
    agreement = np.linalg.norm(labelled.embedder.embed([one, two], 256).mean(axis=0))
    assert together.trusted_from == pytest.approx(least / agreement**0.5)
    assert together.trusted_from is not None
    assert together.trusted_from > least
    assert all(hit.score >= together.trusted_from for hit in together.hits)


def test_what_several_images_find_counts_as_what_one_does(labelled):
    """For strangers and chances as for thresholds; also with what is marked as more like it."""
    one, two = encoded(picture("signs/cross", 70)), encoded(picture("signs/cross", 71))
    found, calibration = search(labelled, [one, two], 3), labelled.calibration()
    share = np.linalg.norm(labelled.embedder.embed([one, two], 256).mean(axis=0)) ** 0.5
    assert share < 1
    seen = np.array([hit.score for hit in found.hits]) * share
    assert [hit.probability for hit in found.hits] == pytest.approx(calibration.chances(seen, seen[0]).tolist())
    assert found.out_of_gallery == calibration.is_stranger(seen[0])


def test_a_mark_makes_no_stranger_at_home(labelled):
    """What is marked is found by itself: nothing but the others can tell."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    liked = search(labelled, [noise], 1).hits[0].record.id
    found = search(labelled, Query(images=(noise,), more=(liked,)), 48)
    assert found.out_of_gallery is None
    assert found.hits[0].record.id == liked
    image, mark = (labelled.snapshot().embeddings[[at]] for at in (0, 20))
    alone, marked = MarkedQuery.of(image, image[:0], image[:0]), MarkedQuery.of(image, mark, image[:0])
    assert alone.as_one == 1
    each = (image @ labelled.snapshot().embeddings.T)[0] + 4 * (mark @ labelled.snapshot().embeddings.T)[0]
    seen = (marked.wanted @ labelled.snapshot().embeddings.T)[0]
    assert marked.as_one**2 * seen == pytest.approx(each / 5, abs=1e-6)
    assert MarkedQuery.of(np.vstack([image, mark]), mark, image[:0]).as_one < 1


@pytest.mark.parametrize("by", [{"rerank": True}, {"less": (3, 4)}, {"feedback": "nearest", "less": (3, 4)}])
def test_chances_hang_on_how_alike_a_hit_is_and_not_on_what_it_is_ordered_by(labelled, by):
    ids = labelled.snapshot().columns.ids.tolist()
    marks = {"less": tuple(ids[at] for at in by.get("less", ())), "feedback": by.get("feedback", "rocchio")}
    told = {hit.record.id: hit for hit in search(labelled, Query(items=(ids[0],)), 47).hits}
    found = search(labelled, Query(items=(ids[0],), **marks), 40, rerank=by.get("rerank", False)).hits
    assert [hit.record.id for hit in found] != list(told)[:40]
    gone = [hit.rank for id, hit in told.items() if id in marks["less"]]
    for hit in found:
        ahead = sum(rank < told[hit.record.id].rank for rank in gone)
        assert ahead or hit.probability == pytest.approx(told[hit.record.id].probability)


def test_no_more_is_looked_at_than_tells_how_many_are_more_alike(labelled, monkeypatch):
    """Of a large gallery where few items have a label, a calibration tells of ranks that take long to find."""
    ids = labelled.snapshot().columns.ids.tolist()
    labelled.calibration()
    asked, plain = [], VectorIndex.search
    monkeypatch.setattr(
        VectorIndex, "search", lambda self, wanted, k, *of: asked.append(k) or plain(self, wanted, k, *of)
    )
    hits = search(labelled, Query(items=(ids[0],), more=(ids[1],)), 6).hits
    assert max(asked) == 6
    assert len(hits) == 6
    search(labelled, Query(items=(ids[0],)), 6, Filters(exclude=frozenset(ids[5:8])))
    assert max(asked) <= 30
    monkeypatch.setattr("unifex.retrieval.search.DEEPEST", 20)
    assert all(
        hit.probability for hit in search(labelled, Query(items=(ids[0],)), 3, Filters(domains=("shapes",))).hits
    )
    assert max(asked) <= 30


def test_chances_of_folded_hits_are_those_of_where_they_stand(tmp_path, embedder, folder):
    for path in sorted(folder.rglob("*.png")):
        image = Image.open(path).convert("RGB")
        for size in (150, 170, 190):
            image.resize((size, size)).save(path.with_name(f"{path.stem}-{size}.png"))
    gallery = Gallery.create(tmp_path / "indexes" / "folded", embedder)
    run_index(gallery, folder)
    query = Query(items=(gallery.snapshot().columns.ids.tolist()[0],))
    told = {hit.record.id: hit for hit in search(gallery, query, 95).hits}
    folded = search(gallery, query, 12, fold="picture").hits
    assert folded[-1].rank < told[folded[-1].record.id].rank
    for hit in folded:
        assert hit.probability == pytest.approx(told[hit.record.id].probability)


def test_reranking_keeps_the_similarities(labelled):
    ids = labelled.snapshot().columns.ids
    plain, reranked = (search(labelled, Query(items=(int(ids[0]),)), 47, rerank=c) for c in (False, True))
    assert reranked.reranked
    scores = {hit.record.id: hit.score for hit in plain.hits}
    assert {hit.record.id: hit.score for hit in reranked.hits} == scores  # the order is what changes
    assert int(ids[0]) not in scores


def test_galleries_that_cannot_tell(gallery, tmp_path, embedder):
    one = Gallery.create(tmp_path / "indexes" / "one", embedder)
    path = tmp_path / "one.png"
    path.write_bytes(encoded(picture("shapes/disc", 1)))
    run_index(one, path)
    for _ in range(2):  # the second time it is known
        with pytest.raises(CalibrationError, match="two of them"):
            one.calibration()
    assert search(one, [path], 1).hits[0].probability is None
    with pytest.raises(CalibrationError):
        search(one, [path], 1, Filters(false_accept_rate=0.05))
    with pytest.raises(CalibrationError, match="own 256-d"):
        search(gallery, [path], 1, Filters(false_accept_rate=0.05), dim=64)
