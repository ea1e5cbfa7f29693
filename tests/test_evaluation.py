import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import forked
from tests.support.drawing import LABELS, encoded, picture
from tests.support.galleries import run_index
from tests.support.splits import make_columns, make_split, random_embeddings, slow_values
from unifex.core.errors import UnifexError
from unifex.core.progress import finish
from unifex.evaluation.compare import baselines, compare, embed_as
from unifex.evaluation.evaluate import evaluate
from unifex.evaluation.evaluation import difference
from unifex.evaluation.metrics import METRICS
from unifex.evaluation.protocols import EvalProtocol, EvaluationError
from unifex.evaluation.splits import split_of
from unifex.gallery.errors import ItemsGone
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.models.neck import DimensionError


def assert_as_slow(chosen, embeddings):
    found = finish(evaluate(chosen, embeddings))
    slow = slow_values(chosen, embeddings)
    for name in METRICS:
        assert getattr(found.metrics, name) == pytest.approx(slow[name], abs=1e-9, nan_ok=True), name
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 50), st.integers(1, 7), st.booleans())
def test_split_against_the_definition(queries, items, labels, ties):
    rng = np.random.default_rng(queries * 100 + items)
    columns = make_columns(
        rng.integers(0, labels, queries + items), [str(d) for d in rng.integers(0, 2, queries + items)]
    )
    chosen = make_split(columns, range(queries), range(queries, queries + items))
    assert_as_slow(chosen, random_embeddings(queries + items, 5, items, ties))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(1, 40), st.booleans())
def test_leave_one_out_against_brute_force(items, labels, images, ties):
    """Neither the query itself nor its byte-identical copies are found, and they are not among what could be."""
    rng = np.random.default_rng(items * 7 + labels)
    columns = make_columns(rng.integers(0, labels, items), hashes=rng.integers(0, images, items))
    embeddings = random_embeddings(items, 4, items, ties)
    for groups in (columns.copies, np.arange(items)):
        assert_as_slow(make_split(columns, range(items), range(items), groups), embeddings)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_pairs_marked_the_same_count_as_right(seed):
    rng = np.random.default_rng(seed)
    columns = make_columns(rng.integers(0, 4, 20))
    same = [tuple(rng.choice(20, 2, replace=False).tolist()) for _ in range(5)]
    embeddings = random_embeddings(20, 4, seed)
    assert_as_slow(make_split(columns, range(8), range(8, 20), same=sorted(set(same))), embeddings)
    assert_as_slow(make_split(columns, range(20), range(20), np.arange(20), sorted(set(same))), embeddings)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_the_gallery_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    labels, embeddings = rng.integers(0, 5, 40), random_embeddings(40, 6, seed)
    order = np.concatenate([np.arange(10), 10 + rng.permutation(30)])
    first = finish(evaluate(make_split(make_columns(labels), range(10), range(10, 40)), embeddings))
    second = finish(evaluate(make_split(make_columns(labels[order]), range(10), range(10, 40)), embeddings[order]))
    for name in METRICS:
        assert np.array_equal(getattr(first.metrics, name), getattr(second.metrics, name), equal_nan=True)


def test_a_worked_example():
    """Three queries along a line of items whose labels are a b a c c c c c c c."""
    angles = np.array([0, 0, 0, *(0.1 * np.arange(10))])
    embeddings = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    columns = make_columns(list("acz" + "abaccccccc"), list("xyy" + "xxxyyyyyyy"))
    found = finish(evaluate(make_split(columns, range(3), range(3, 13)), embeddings))
    assert found.metrics.mmp5[:2].tolist() == [0.5, 0.4]
    assert (found.queries, found.skipped) == (2, 1)
    assert found.overall().value == pytest.approx(0.45)
    assert found.macro().value == pytest.approx(0.45)
    assert [(row.name, row.queries, row.items, row.mmp5.value) for row in found.domains] == [
        ("x", 1, 3, 0.5), ("y", 1, 7, 0.4),
    ]  # fmt: skip
    assert found.in_domain[:2].tolist() == [0.5, 1.0]  # alone, y's query meets only c
    names, table = found.confusion
    assert (names, table.tolist()) == (["x", "y"], [[1, 0], [1, 0]])
    assert [(row.label, row.most_confused_with) for row in found.labels] == [("c", "a"), ("a", "")]
    assert found.hits.positions[0].tolist() == [3, 4, 5, 6, 7]


THEIRS = """
import json, sys
import numpy as np
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
data = np.load(sys.argv[1])
calculator = AccuracyCalculator(include=("mean_average_precision_at_r", "precision_at_1"), k="max_bin_count")
found = calculator.get_accuracy(data["embeddings"], data["labels"])
print(json.dumps({name: float(value) for name, value in found.items()}))
"""


def test_map_at_r_against_pytorch_metric_learning(tmp_path):
    """In a process of its own: importing it exchanges methods of FAISS."""
    labels = np.sort(np.random.default_rng(3).integers(0, 9, 120))
    embeddings = random_embeddings(120, 16, 3)
    np.savez(tmp_path / "data.npz", embeddings=embeddings, labels=labels)
    theirs = json.loads(forked.run("-c", THEIRS, str(tmp_path / "data.npz")).stdout.splitlines()[-1])
    ours = finish(evaluate(make_split(make_columns(labels), range(120), range(120), np.arange(120)), embeddings))
    assert ours.overall("map_r").value == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert ours.overall("recall1").value == pytest.approx(theirs["precision_at_1"], abs=1e-6)


def test_labels_are_of_their_domain():
    """The same word in two domains is two labels: a hit from another domain is wrong."""
    columns = make_columns(["bat", "bat", "bat"], ["animals", "animals", "sports"])
    embeddings = random_embeddings(3, 4, 0)
    found = finish(evaluate(make_split(columns, [0], [1, 2]), embeddings))
    assert found.split.relevant().tolist() == [1]


def test_differences_are_paired():
    columns = make_columns(np.arange(60) % 6)
    chosen = make_split(columns, range(20), range(20, 60))
    a, b = (finish(evaluate(chosen, random_embeddings(60, 8, seed))) for seed in (1, 2))
    gain = difference(a, b)
    assert gain.value == pytest.approx(a.overall().value - b.overall().value)
    assert difference(a, a).value == difference(a, a).low == 0
    with pytest.raises(ValueError, match="one split"):
        difference(a, finish(evaluate(replace(chosen), random_embeddings(60, 8, 2))))


# --- on a gallery ------------------------------------------------------------------------------------------------


def test_protocols_of_a_gallery(gallery):
    loo = split_of(gallery)
    assert (loo.protocol.kind, len(loo.queries), len(loo.items)) == ("leave-one-out", 24, 24)
    drawn = split_of(gallery, EvalProtocol("random", seed=1))
    assert len(drawn.queries) == 4  # a fifth of six is one of each label
    assert len(drawn.items) == 20
    assert not set(drawn.queries) & set(drawn.items)
    assert split_of(gallery, EvalProtocol("random", seed=1)).queries.tolist() == drawn.queries.tolist()
    few = split_of(gallery, EvalProtocol("leave-one-out", max_queries=5))
    assert (len(few.queries), len(few.items), few.omitted["queries not drawn"]) == (5, 24, 19)
    with pytest.raises(EvaluationError, match="no query and index split"):
        split_of(gallery, EvalProtocol("split"))
    with pytest.raises(UnifexError, match="no protocol 'half'"):
        EvalProtocol("half")


def test_the_gallerys_own_split_comes_first(tmp_path, embedder):
    lines = ["path,label,domain,split"]
    for number, label in enumerate(LABELS):
        for view, split in enumerate(("query", "index", "index", "train")):
            (tmp_path / f"{number}-{view}.png").write_bytes(encoded(picture(label, view)))
            lines.append(f"{number}-{view}.png,{label},shapes,{split}")
    lines.append("0-3.png,,,index")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, tmp_path / "m.csv")
    chosen = split_of(gallery)
    assert chosen.protocol.kind == "split"
    assert (len(chosen.queries), len(chosen.items)) == (4, 8)
    assert chosen.omitted["other split"] == 4
    found = finish(compare(gallery))
    assert found.main.as_json()["left_out"]["other split"] == 4


def test_unlabelled_galleries_say_what_they_need(tmp_path, embedder):
    for view in range(4):
        (tmp_path / f"{view}.png").write_bytes(encoded(picture("shapes/disc", view)))
    gallery = Gallery.create(tmp_path / "indexes" / "flat", embedder)
    run_index(gallery, tmp_path / "0.png")
    with pytest.raises(EvaluationError, match="no labels to measure with"):
        split_of(gallery)


def test_labels_that_stand_alone_say_what_is_missing(tmp_path, embedder):
    for label in LABELS:
        path = tmp_path / "pictures" / label / "0.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(encoded(picture(label, 0)))
    gallery = Gallery.create(tmp_path / "indexes" / "single", embedder)
    run_index(gallery, tmp_path / "pictures")
    with pytest.raises(EvaluationError, match="add more images of the same labels"):
        split_of(gallery)


def test_a_domain_without_items_of_its_own_is_json(tmp_path):
    columns = make_columns(list("aab"), ["x", "x", "y"])
    found = finish(evaluate(make_split(columns, [0, 2], [1], same=[(2, 1)]), random_embeddings(3, 4, 0)))
    answer = json.loads(json.dumps(found.as_json(labels=True), allow_nan=False))
    assert answer["domains"]["y"]["alone_mmp5"] is None
    assert answer["domains"]["y"]["mmp5"] == 1


def test_an_assessment_measures_64_context_and_rivals_beside(gallery):
    found = finish(compare(gallery, context=True, compare=["raw"]))
    assert [(e.model, e.dim, e.context) for e in found.evaluations] == [
        ("unifex-lite-4", 256, True), ("unifex-lite-4", 256, False), ("unifex-lite-4", 64, False), ("raw", 1600, False),
    ]  # fmt: skip


def test_rivals_are_compared_in_pairs(gallery):
    found = finish(compare(gallery, dim=64, compare=["pooling", "raw"]))
    assert [(e.model, e.dim) for e in found.evaluations] == [("unifex-lite-4", 64), ("pooling", 64), ("raw", 1600)]
    brief = found.as_json()["compared"][0]
    assert brief["difference"]["ci95"][0] <= brief["difference"]["mmp5"] <= brief["difference"]["ci95"][1]
    assert set(baselines(gallery)) == {"raw", "pca", "pooling"}


def test_wrong_wishes(gallery):
    found = finish(compare(gallery, compare=["pca"]))
    assert (len(found.evaluations), found.left_out) == (2, ["pca"])  # of 24 images
    with pytest.raises(GalleryError, match="no model nothing"):
        finish(compare(gallery, compare=["nothing"]))
    with pytest.raises(DimensionError, match="no 65-d"):
        finish(compare(gallery, dim=65))


def test_a_model_trained_anew_re_embeds_its_galleries(gallery):
    """A gallery opened with its own model must not mix the embeddings of two necks."""
    from unifex.gallery.library import Library
    from unifex.models.embedder import Embedder
    from unifex.models.neck import Neck

    models = gallery.folder.parent / "models"
    old = gallery.embedder.neck
    mine = replace(gallery.embedder.config, name="mine")
    Embedder(mine, old, gallery.embedder.backbone).save(models / "mine")
    list(Library(gallery.folder.parent).use(gallery.name, Embedder.load("mine", models)))
    turned = Neck(old.kind, np.ascontiguousarray(old.weight[::-1]), old.bias[::-1].copy(), old.dims)
    Embedder(mine, turned, gallery.embedder.backbone).save(models / "mine")
    again = Gallery.open(gallery.folder)
    features = again.features(again.snapshot().columns.sha256s())
    assert np.array_equal(again.snapshot().embeddings, turned.embed(features, 256))


LONG = "y" * 5000


@pytest.mark.parametrize(
    ("labels", "hashes", "domains", "queries", "remark"),
    [
        ([LONG] * 4, range(4), None, None, r"All items have one label, 'y{59}…': whatever is found is right"),
        ([0, 0, 1, 1], range(4), ["a", "a", "b", "b"], None, "With one label in it, a domain is right alone .*: a, b"),
        ([0, 0, 1, 2, 3, 4], range(6), None, None, "Only 2 of 6 queries count"),
        ([0, 0, 0, 1, 1, 1], [0, 0, 1, 2, 3, 4], None, [0, 3], "1 of 2 queries can find a copy of the same file"),
        (["Class 1", "class 1 "] * 2, range(4), None, None, "count as different ones: 'Class 1' and 'class 1 '"),
        ([0, 0, 1, 1], range(4), None, None, None),
    ],
)
def test_figures_that_say_little_are_remarked_on(labels, hashes, domains, queries, remark):
    """``queries``: of a split; all items search for each other when None."""
    columns, everyone = make_columns(labels, domains, hashes=hashes), range(len(labels))
    items = [item for item in everyone if item not in (queries or ())]
    chosen = make_split(columns, queries or everyone, items, None if queries else columns.copies)
    found = finish(evaluate(chosen, random_embeddings(len(labels), 4, 0)))
    assert found.as_json()["remarks"] == found.remarks
    assert re.search(remark, " ".join(found.remarks)) if remark else found.remarks == []


def test_a_gallery_of_copies_says_why_it_cannot_be_measured(tmp_path, embedder):
    (tmp_path / "pictures/cat").mkdir(parents=True)
    for number in range(5):
        (tmp_path / f"pictures/cat/{number}.png").write_bytes(encoded(picture("shapes/disc", 0)))
    gallery = Gallery.create(tmp_path / "indexes" / "copies", embedder)
    run_index(gallery, tmp_path / "pictures")
    with pytest.raises(EvaluationError, match="copies of one file do not count"):
        split_of(gallery)
    assert "one label" in finish(compare(gallery, EvalProtocol(copies=True))).main.remarks[0]


def test_what_is_measured_stays_the_same_items_while_others_come_and_go(gallery, folder):
    columns, model, dim = gallery.snapshot().columns, gallery.config.model, gallery.config.dim
    before = embed_as(gallery, columns, model, dim, np.arange(24))
    (folder / "shapes/disc/new.bmp").write_bytes(encoded(picture("shapes/disc", 90), "BMP"))
    run_index(gallery, folder)
    assert np.array_equal(embed_as(gallery, columns, model, dim, np.arange(24)), before)
    with gallery.write() as writer:
        writer.remove([int(columns.ids[0])])
    for name in (model, "raw"):
        with pytest.raises(ItemsGone, match="removed meanwhile"):
            embed_as(gallery, columns, name, dim, np.arange(24))
