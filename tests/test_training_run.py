"""A gallery teaches its neck: before and after, saving, stopping, going on, using it, and going back."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import ImageOps

import unifex
from tests.support.drawing import LABELS, encoded, picture, write_folder
from tests.support.galleries import run_index
from unifex.cli import main
from unifex.core import images
from unifex.core.progress import Step, finish
from unifex.core.vectors import l2_normalize
from unifex.evaluation.compare import compare
from unifex.evaluation.evaluate import evaluate
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.gallery.other_backbone import index_anew
from unifex.models.embedder import Embedder, ModelError, list_models
from unifex.training import run as training_run
from unifex.training.augment import augment, augmented_features
from unifex.training.checkpoint import read_checkpoint
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.held_out import HoldOut, divide
from unifex.training.report import TrainReport, read_report, trained_on
from unifex.training.result import EpochMetrics, TrainResult
from unifex.training.resume import TrainJob, checkpoints, read_curve
from unifex.training.run import train

QUICK = PRESETS["quick"].config


@pytest.fixture
def library(gallery) -> Library:
    return Library(gallery.folder.parent)


def test_a_trained_model_is_saved_with_what_it_is_worth(gallery):
    curve, steps = [], []
    outcome = finish(train(gallery, "mine", QUICK, on_epoch=curve.append), steps.append)
    assert [p.number for p in curve] == [1, 2, 3]
    assert all(0 <= p.scores[dim] <= 1 for p in curve for dim in (64, 256))
    assert {"epoch 1", "epoch 2", "epoch 3", "measuring mine 64-d"} <= {step.stage for step in steps}
    assert {(e.model, e.dim) for e in outcome.evaluations} == {
        ("raw", 1600), *((model, dim) for model in ("unifex-lite-4", "mine") for dim in (64, 128, 256, 512)),
    }  # fmt: skip
    assert outcome.data.held_out_classes == 1
    assert outcome.verdict in ("better", "worse", "no difference")
    folder = gallery.folder.parent / "models" / "mine"
    saved = Embedder.load("mine", models=folder.parent)
    np.testing.assert_array_equal(saved.neck.weight, outcome.neck.weight)
    assert saved.config.training["recipe"]["loss"] == "arcface"
    card = (folder / "README.md").read_text()
    assert "18 images of 3 classes in 2 domains" in card
    head = ModelCard(card).data
    assert (head.license, head.library_name, head.metrics) == ("apache-2.0", "unifex", ["mMP@5"])
    assert [result.metric_value for result in head.eval_results] == [
        round(e.overall().value, 4) for e in outcome.evaluations if e.model == "mine"
    ]
    assert all(f"| {e.overall().value:.3f} |" in card for e in outcome.evaluations)
    lines = list(csv.DictReader((folder / "training.csv").open()))
    assert [float(line["loss"]) for line in lines] == pytest.approx([p.loss for p in curve], abs=1e-5)
    assert [float(line["held_out_mmp5_256"]) for line in lines] == pytest.approx(
        [p.scores[256] for p in curve], abs=1e-5
    )


def test_before_and_after_are_of_the_same_queries_and_true(gallery):
    outcome = finish(train(gallery, "mine", QUICK))
    columns = outcome.data.columns
    features = gallery.features(columns.sha256s())
    new = finish(evaluate(outcome.data.split, outcome.neck.embed(features, 256)))
    old = finish(evaluate(outcome.data.split, gallery.embedder.neck.embed(features, 256)))
    raw = finish(evaluate(outcome.data.split, l2_normalize(features.astype(np.float32), 1600)))
    assert outcome.gain.value == pytest.approx(np.mean(new.metrics.mmp5 - old.metrics.mmp5))
    assert outcome.of("raw", 256).overall() == raw.overall()
    assert outcome.curve[-1].scores[256] == pytest.approx(new.overall().value)
    answer = outcome.as_json()
    assert len(repr(outcome)) < 200
    assert answer["before"]["dim"] == answer["after"]["dim"] == 64
    assert answer["after"]["mmp5"] == outcome.of("mine", 64).overall().value
    for changed in outcome.changed():
        row = np.flatnonzero(new.split.queries == changed.query)[0]
        assert changed.gain == pytest.approx(new.metrics.mmp5[row] - old.metrics.mmp5[row])
        assert [hit for hit, _ in changed.after] == new.hits.positions[row].tolist()


def test_what_came_of_a_training_is_kept_beside_its_model_and_known_by_the_gallery_under_any_name(gallery):
    models = gallery.folder.parent / "models"
    first, second = (finish(train(gallery, name, QUICK)) for name in ("first", "second"))
    kept = read_report(models, "second")
    assert kept == TrainReport.of(second, gallery.config.id)
    assert (kept.worth.verdict, kept.worth.advice) == (second.verdict, second.advice)
    assert [(row.model, row.dim, row.score) for row in kept.models] == [
        (e.model, e.dim, e.overall()) for e in second.evaluations
    ]
    assert kept.models[-1].change is None
    at = {int(id): position for position, id in enumerate(second.data.columns.ids)}
    assert [at[row.query] for row in kept.changed] == [row.query for row in second.changed()]
    assert read_report(models, "first").curve == first.curve
    assert [*trained_on(models, gallery.config.id)] == ["second", "first"]
    assert [*trained_on(models, "0" * 32)] == []
    renamed = Library(gallery.folder.parent).rename(gallery.folder.name, "renamed")
    assert [*trained_on(models, renamed.config.id)] == ["second", "first"]
    shutil.rmtree(models / "second")
    path = models / ".trained" / "first.json"
    path.write_text(path.read_text().replace("first", "other"))
    assert read_report(models, "second") is None  # the model is no more
    assert read_report(models, "first") is None  # damaged
    assert read_report(models, "../.trained/first") is None
    assert [*trained_on(models, gallery.config.id)] == []


def noise(outcome: TrainResult, seed: int = 0) -> TrainResult:
    """The same outcome with a neck of random directions."""
    rng = np.random.default_rng(seed)
    embeddings = l2_normalize(rng.normal(size=(len(outcome.data.columns.ids), 256)), 256)
    bad = finish(evaluate(outcome.data.split, embeddings, outcome.model))
    return replace(outcome, evaluations=[e for e in outcome.evaluations if e.model != outcome.model] + [bad])


def test_a_worse_neck_is_advised_against(gallery):
    outcome = finish(train(gallery, "mine", QUICK))
    bad = noise(outcome)
    assert bad.verdict == "worse"
    assert bad.advice.startswith("Do not use it")
    better = replace(bad, before="mine", model="unifex-lite-4")
    assert better.verdict == "better"
    same = replace(outcome, model="unifex-lite-4")
    assert same.verdict == "no difference"
    assert same.advice.startswith("Better keep 'unifex-lite-4'")


def _stopped(gallery: Gallery, name: str, after: str) -> None:
    """A training that is stopped after an epoch."""
    work = train(gallery, name, QUICK)
    next(step for step in work if step.stage == after)
    work.close()


def test_one_that_reads_from_disk_goes_on_so(gallery):
    whole = finish(train(gallery, "whole", QUICK, from_disk=True)).neck

    def stopped(name: str) -> None:
        work = train(gallery, name, QUICK, from_disk=True)
        next(step for step in work if step.stage == "epoch 1")
        work.close()

    stopped("cut")
    outcome = finish(train(gallery, "cut", QUICK))
    np.testing.assert_array_equal(outcome.neck.weight, whole.weight)
    stopped("early")
    assert finish(train(gallery, "early", QUICK, finish=True)).as_json()["epochs"] == 1
    stopped("other")
    assert finish(train(gallery, "other", replace(QUICK, epochs=1))).curve[0].number == 1


def test_stopped_gone_on_and_finished(gallery):
    models = gallery.folder.parent / "models"
    whole = finish(train(gallery, "whole", QUICK)).neck
    _stopped(gallery, "cut", "epoch 1")
    assert [(o.name, o.gallery, o.config, o.hold_out) for o in checkpoints(models)] == [
        ("cut", "drawn", QUICK, HoldOut())
    ]
    assert not (models / "cut").exists()
    curve: list[EpochMetrics] = []
    outcome = finish(train(gallery, "cut", QUICK, on_epoch=curve.append))
    assert [point.number for point in curve] == [2, 3]
    np.testing.assert_array_equal(outcome.neck.weight, whole.weight)
    assert [point.number for point in outcome.curve] == [1, 2, 3]  # the curves are whole, too
    assert checkpoints(models) == []
    _stopped(gallery, "early", "epoch 1")
    early = finish(train(gallery, "early", QUICK, finish=True))
    assert early.as_json()["epochs"] == 1
    assert not np.array_equal(early.neck.weight, whole.weight)
    assert early.evaluations


def test_one_that_was_killed_when_its_model_was_there_is_done(gallery, monkeypatch):
    models = gallery.folder.parent / "models"
    for last in ("save", "delete_checkpoint"):
        with monkeypatch.context() as killed:
            killed.setattr(training_run, last, Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                finish(train(gallery, "mine", QUICK))
        if last == "save":  # it goes on as it was begun
            assert checkpoints(models) == [TrainJob("mine", gallery.name, QUICK, HoldOut())]
    assert all((models / name).exists() for name in ("mine", ".training/mine.pt"))
    assert checkpoints(models) == []
    (models / "mine").rename(models / "aside")  # what it had reached can be kept again
    assert [job.name for job in checkpoints(models)] == ["mine"]
    (models / "aside").rename(models / "mine")
    finish(train(gallery, "other", QUICK))
    assert {path.suffix for path in (models / ".training").iterdir()} <= {".lock"}


def test_a_report_is_of_its_own_model_and_a_training_may_be_called_config(gallery, embedder, caplog):
    models = gallery.folder.parent / "models"
    finish(train(gallery, "config", QUICK))
    finish(train(gallery, "mine", QUICK))
    assert {"config", "mine"} <= {model.name for model in list_models(models)}
    assert not caplog.records
    shutil.rmtree(models / "mine")
    embedder.save_as("mine", models)
    assert [*trained_on(models, gallery.config.id)] == ["config"]


def test_what_another_gallerys_stopped_training_reached_is_not_written_over(gallery, library, folder, embedder, capsys):
    _stopped(gallery, "mine", "epoch 2")
    kept = (gallery.models / ".training" / "mine.pt").read_bytes()
    other = Gallery.create(library.folder / "other", embedder)
    run_index(other, folder)
    told = "a training of 'mine' on gallery 'drawn' was stopped: go on with it there"
    for at_end in (False, True):
        with pytest.raises(ModelError, match=told):
            finish(train(other, "mine", QUICK, finish=at_end))
    arguments = ["--gallery", "other", "--save", "mine", "--library", str(library.folder)]
    assert main.main(["train", *arguments]) != 0
    assert "(here: python -m unifex train --gallery drawn --save mine --finish)" in capsys.readouterr().err
    assert (gallery.models / ".training" / "mine.pt").read_bytes() == kept
    assert finish(train(gallery, "mine", QUICK)).curve[-1].number == QUICK.epochs
    _stopped(gallery, "gone", "epoch 2")
    gallery.folder.rename(gallery.folder.with_name("renamed"))  # as by a file manager
    renamed = library.get("renamed")
    points: list[EpochMetrics] = []
    finish(train(renamed, "gone", QUICK, on_epoch=points.append))
    assert [point.number for point in points] == [3]


@pytest.mark.parametrize("place", ["front", "middle", "end"])
def test_a_damaged_checkpoint_begins_anew(gallery, place):
    _stopped(gallery, "mine", "epoch 2")
    path = gallery.models / ".training" / "mine.pt"
    data = bytearray(path.read_bytes())
    data[{"front": 70, "middle": len(data) // 2, "end": -20}[place]] ^= 16
    path.write_bytes(data)
    with pytest.raises(ModelError, match="no stopped training 'mine' reached anything"):
        finish(train(gallery, "mine", QUICK, finish=True))
    notes: list[Step] = []
    result = finish(train(gallery, "mine", QUICK), notes.append)
    assert [point.number for point in result.curve] == [1, 2, 3]
    assert all("what was kept is damaged" in step.note for step in notes if step.stage.startswith("epoch"))


def test_what_was_reached_is_kept_whatever_changed_since_and_what_begins_anew_says_so(gallery):
    _stopped(gallery, "kept", "epoch 2")
    kept = read_checkpoint(gallery.models / ".training" / "kept.pt")
    train_items = divide(gallery, QUICK).train
    *items, last = gallery.records(gallery.snapshot().columns.ids[train_items[[0, 1, -1]]])
    with gallery.write() as writer:
        writer.correct([relabel(items[0], last.label, last.domain)])
    _stopped(gallery, "anew", "epoch 1")
    with gallery.write() as writer:
        writer.correct([relabel(items[1], last.label, last.domain)])
    other = replace(QUICK, epochs=7, dims=(32,))
    result = finish(train(gallery, "kept", other, finish=True))
    np.testing.assert_array_equal(result.neck.weight, kept.learned.neck.weight)
    assert (result.config, result.as_json()["epochs"]) == (QUICK, 2)
    assert result.evaluations  # of classes that it never saw
    steps = []
    finish(train(gallery, "anew", QUICK), steps.append)
    noted = [step.note for step in steps if step.stage.startswith("epoch")]
    assert len(noted) == 3
    assert all("begun anew" in note for note in noted)
    _stopped(gallery, "seen", "epoch 1")
    held_out = sorted({record.label for record in gallery.records(gallery.snapshot().columns.ids[train_items])})
    result = finish(train(gallery, "seen", QUICK, HoldOut(labels=(held_out[0],)), finish=True))
    assert "were among those it learned from" in result.advice  # so nothing is claimed
    assert not result.evaluations


def test_a_training_that_reads_from_disk_is_not_disturbed_by_who_removes(gallery):
    whole = finish(train(gallery, "whole", QUICK, from_disk=True)).neck
    work = train(gallery, "mine", QUICK, from_disk=True)
    next(step for step in work if step.stage == "epoch 1")
    shards = sorted(gallery.folder.glob("features/*.npy"))
    with gallery.write() as writer:
        writer.remove(gallery.snapshot().columns.ids.tolist())
    assert sorted(gallery.folder.glob("features/*.npy")) != shards
    assert np.array_equal(finish(work).neck.weight, whole.weight)


def test_a_model_is_called_as_it_can_be_found(gallery, library):
    result = finish(train(gallery, " mine ", replace(QUICK, epochs=1)))
    assert result.model == "mine"
    finish(library.use(gallery.name, Embedder.load("mine", models=library.models)))
    shutil.copytree(library.models / "mine", library.models / "backup")
    shutil.rmtree(library.models / "mine")
    assert [config.name for config in list_models(library.models)][-1] == "backup"
    assert Embedder.load("backup", models=library.models).name == "backup"


def test_another_model_on_the_same_backbone_takes_the_features_over(gallery, library, folder, monkeypatch):
    finish(train(gallery, "mine", replace(QUICK, epochs=1)))
    model = Embedder.load("mine", models=library.models)
    first = gallery.records(gallery.snapshot().columns.ids)[0]
    Path(first.uri).unlink()
    made = finish(index_anew(library, gallery.name, "anew", model))
    hashes = gallery.snapshot().columns.sha256s()
    assert np.array_equal(made.features(hashes), gallery.features(hashes))
    steps: list[Step] = []
    with pytest.raises(GalleryError, match=re.escape(first.path)):
        finish(index_anew(library, gallery.name, "other", Embedder.load("raw:lite0")), steps.append)
    assert {step.stage for step in steps} == {"looking for the images"}  # before anything is embedded

    def no_links(*places: Path) -> None:
        raise OSError("as between disks")

    monkeypatch.setattr(os, "link", no_links)
    work = index_anew(library, gallery.name, "copied", model)
    assert (next(work).done, next(work).done) == (1, 2)
    work.close()
    assert "copied" not in library.names()
    copied = finish(index_anew(library, gallery.name, "copied", model))
    assert np.array_equal(copied.features(hashes), gallery.features(hashes))


def test_killed_after_the_last_epoch_it_only_measures(gallery):
    whole = finish(train(gallery, "whole", QUICK)).neck
    _stopped(gallery, "late", "epoch 3")
    curve: list[EpochMetrics] = []
    outcome = finish(train(gallery, "late", QUICK, on_epoch=curve.append))
    assert not curve
    np.testing.assert_array_equal(outcome.neck.weight, whole.weight)
    assert [point.number for point in outcome.curve] == [1, 2, 3]


def test_who_listens_ends_a_training_after_an_epoch(gallery):
    def listen(metrics: EpochMetrics) -> None:
        if metrics.number == 2:
            raise GalleryError("so long and no longer")

    with pytest.raises(GalleryError, match="no longer"):
        finish(train(gallery, "cut", QUICK, on_epoch=listen))
    curve: list[EpochMetrics] = []
    finish(train(gallery, "cut", QUICK, on_epoch=curve.append))
    assert [point.number for point in curve] == [3]


def test_curves_that_an_earlier_version_kept(tmp_path):
    curve = [EpochMetrics(1, 3, 0.5, 0.01, 2.0, {64: 0.75})]
    (tmp_path / ".training").mkdir()
    (kept,) = json.loads(json.dumps([{**asdict(point), "seconds_left": 4.0} for point in curve]))
    (tmp_path / ".training" / "mine.points").write_text(json.dumps([kept]))
    assert read_curve(tmp_path, "mine") == curve


def test_a_model_is_trained_once_at_a_time(gallery):
    first = train(gallery, "twice", QUICK)
    next(step for step in first if step.stage == "epoch 1")
    with pytest.raises(ModelError, match="is being trained in another tab"):
        next(train(gallery, "twice", QUICK))
    first.close()
    assert finish(train(gallery, "twice", QUICK)).model == "twice"


def test_a_killed_process_leaves_a_checkpoint(gallery):
    code = (
        "import os, sys\nfrom unifex.training.run import train\nfrom unifex.gallery.gallery import Gallery\n"
        "from unifex.training.config import PRESETS\n"
        "for step in train(Gallery.open(sys.argv[1]), 'killed', PRESETS['quick'].config):\n"
        "    if step.stage == 'epoch 2':\n        os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code, str(gallery.folder)], cwd=root, timeout=120)
    assert done.returncode == -9
    assert [step.stage for step in train(gallery, "killed", QUICK) if "epoch" in step.stage] == ["epoch 3"]


def test_the_verdict_is_on_what_the_gallery_would_be_searched_with(gallery):
    outcome = finish(train(gallery, "small", replace(QUICK, dims=(64,))))
    assert (outcome.before_dim, outcome.dim) == (256, 64)
    new, old = outcome.of("small", 64), outcome.of("unifex-lite-4", 256)
    assert outcome.gain.value == pytest.approx(np.mean(new.metrics.mmp5 - old.metrics.mmp5))


def test_nothing_to_keep_is_said_and_nothing_trained(gallery):
    with pytest.raises(ModelError, match="no stopped training 'never'"):
        finish(train(gallery, "never", QUICK, finish=True))
    assert not (gallery.folder.parent / "models" / "never").exists()


def test_two_classes_of_three_images_work(tmp_path, embedder):
    for label in list(LABELS)[:2]:
        (tmp_path / "few" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "few" / label / f"{number}.png").write_bytes(encoded(picture(label, number)))
    gallery = Gallery.create(tmp_path / "indexes" / "few", embedder)
    run_index(gallery, tmp_path / "few")
    outcome = finish(train(gallery, "few", PRESETS["best"].config))
    assert outcome.verdict == "unmeasured"
    assert "fewer than 4 classes" in outcome.advice
    assert outcome.as_json()["before"] is None
    assert "Not measured" in (tmp_path / "indexes" / "models" / "few" / "README.md").read_text()


def test_names_that_are_taken_or_impossible_are_refused(gallery):
    finish(train(gallery, "mine", QUICK))
    for name, why in (("mine", "already"), ("unifex-lite-4", "already"), ("../x", "cannot name"), ("", "cannot name")):
        with pytest.raises((ModelError, GalleryError), match=why):
            next(train(gallery, name, QUICK))


def test_views_are_computed_once_and_told_apart(gallery):
    records = gallery.records(gallery.snapshot().columns.ids[:3])
    made = finish(augmented_features(gallery, records, 3))
    engine, prep = gallery.embedder.engine, gallery.embedder.backbone.preprocessing
    image = images.decode(gallery.original(records[0]), at_least=prep.size).image
    mirrored = engine.features(prep.to_input(ImageOps.mirror(image))[None])[0]
    np.testing.assert_allclose(made[0, 0], mirrored, atol=2e-3)
    assert len({augment(image, records[0].sha256, number).tobytes() for number in range(4)}) == 4
    for record in records:  # the pixels are not needed any more
        Path(record.uri).unlink()
    np.testing.assert_array_equal(finish(augmented_features(gallery, records, 2)), made[:, :2])
    with pytest.raises(GalleryError, match="no longer there"):
        finish(augmented_features(gallery, records, 4))
    with gallery.write() as writer:
        writer.remove([records[0].id])
    assert not gallery.database.views_path(records[0].sha256).exists()
    outcome_records = gallery.records(gallery.snapshot().columns.ids[:2])
    assert finish(augmented_features(gallery, outcome_records, 2)).shape == (2, 2, 1600)


def test_training_with_views(gallery):
    steps = []
    outcome = finish(train(gallery, "seen", replace(QUICK, augmentations=2)), steps.append)
    assert "crops and mirror images" in {step.stage for step in steps}
    assert outcome.neck.dims == (64, 128, 256, 512)


def test_a_gallery_uses_the_model_and_goes_back(gallery, library):
    outcome = finish(train(library.get("drawn"), "mine", QUICK))
    before = library.get("drawn").snapshot().embeddings.copy()
    steps = []
    used = finish(library.use("drawn", Embedder.load("mine", models=library.models)), steps.append)
    assert steps[0].stage == "embedding"
    now = library.get("drawn")
    assert used is now
    assert (now.config.model, now.config.previous, now.config.dim) == ("mine", "unifex-lite-4", 256)
    hashes = now.snapshot().columns.sha256s()
    np.testing.assert_allclose(now.snapshot().embeddings, outcome.neck.embed(now.features(hashes), 256), atol=1e-6)
    reopened = Gallery.open(gallery.folder)
    np.testing.assert_array_equal(reopened.snapshot().embeddings, now.snapshot().embeddings)
    finish(library.use("drawn", Embedder.load(now.config.previous, models=library.models)))
    np.testing.assert_array_equal(library.get("drawn").snapshot().embeddings, before)
    assert library.get("drawn").config.previous == "mine"


def remarks(gallery: Gallery) -> str:
    return " ".join(finish(compare(gallery)).main.remarks)


def test_an_evaluation_says_of_which_classes_the_model_knows_them(gallery, library, tmp_path):
    everyone = finish(train(library.get("drawn"), "everyone", QUICK, HoldOut(0)))
    marks = Embedder.load("everyone", models=library.models).config.training["classes"]
    assert len(marks) == everyone.data.classes == 4
    assert {len(mark) for mark in marks} == {24}  # and no name
    finish(train(library.get("drawn"), "some", QUICK))
    assert remarks(library.get("drawn")) == ""
    use = lambda name: finish(library.use("drawn", Embedder.load(name, models=library.models)))  # noqa: E731
    compared = finish(compare(library.get("drawn"), compare=["everyone", "raw"]))
    assert [remark.partition(":")[0] for remark in compared.remarks] == [
        "'everyone' was trained on the classes of all 24 queries"
    ]
    assert "trained on the classes of all 24 queries" in remarks(use("everyone"))
    told = r"the classes of 18 of 24 queries, 75%: its mMP@5 is [01]\.\d+ for these, and [01]\.\d+ for the others"
    assert re.search(told, remarks(use("some")))
    finish(train(library.get("drawn"), "further", PRESETS["few"].config))  # goes on from what knows some
    assert "of all 24" in remarks(use("further"))

    fresh = replace(QUICK, init="random")
    finish(train(use("everyone"), "fresh", fresh, HoldOut(0.5)))  # of the blocks of a bundled model, and nothing else
    assert len(Embedder.load("fresh", models=library.models).config.training["classes"]) < 4

    anew = finish(index_anew(library, "drawn", "anew", Embedder.load("some", models=library.models)))
    assert "18 of 24" in remarks(anew)
    write_folder(tmp_path / "others", views=2, side=63)
    others = Gallery.create(library.folder / "others", Embedder.load("everyone", models=library.models))
    run_index(others, tmp_path / "others")
    assert remarks(others) == ""  # called alike, but other pictures


def test_no_class_is_held_out_that_was_taught_before(gallery, library):
    first = finish(train(library.get("drawn"), "first", QUICK)).data
    use = lambda name: finish(library.use("drawn", Embedder.load(name, models=library.models)))  # noqa: E731
    again = finish(train(use("first"), "again", QUICK, HoldOut(0.5)))  # would hold out one more, which was taught
    assert (again.data.split.queries.tolist(), again.data.known) == (first.split.queries.tolist(), 0)
    assert "on classes it never saw" in again.advice
    finish(train(library.get("drawn"), "everyone", QUICK, HoldOut(0)))
    known = finish(train(use("everyone"), "known", QUICK))
    assert "on 1 class held out, 1 of which 'everyone' was taught already," in known.advice
    card = (library.models / "known" / "README.md").read_text()
    assert "of 1 classes that were not trained on (1 of them before, in what this goes out from)" in card
    assert finish(train(library.get("drawn"), "anew", replace(QUICK, init="random"))).data.known == 0


def test_what_was_taught_before_is_known_also_where_it_is_finished_with_another_model(gallery, library):
    finish(train(gallery, "everyone", QUICK, HoldOut(0)))
    use = lambda name: finish(library.use("drawn", Embedder.load(name, models=library.models)))  # noqa: E731
    held_out = HoldOut(labels=(str(gallery.snapshot().columns.labels.texts[0]),))
    for name in ("same", "other"):
        work = train(use("everyone"), name, QUICK, held_out)
        next(step for step in work if step.stage == "epoch 1")
        work.close()
    marks = {}
    for name, model in (("same", "everyone"), ("other", "unifex-lite-4")):
        result = finish(train(use(model), name, QUICK, held_out, finish=True))
        assert (result.data.held_out_classes, result.data.known) == (1, 1)
        marks[name] = set(Embedder.load(name, models=library.models).config.training["classes"])
    assert (
        marks["other"]
        == marks["same"]
        >= set(Embedder.load("everyone", models=library.models).config.training["classes"])
    )


def test_a_program_trains_as_page_and_command_line_do(gallery):
    result = unifex.train(gallery, "mine")
    assert (result.config, result.neck.dims) == (PRESETS["few"].config, (64, 128, 256, 512))
    assert unifex.train(gallery, "paper", TrainConfig(epochs=1)).neck.dims == (64,)


def run(capsys, *arguments: str) -> tuple[int, dict, str]:
    try:
        code = main.main([*arguments, "--json"])
    except SystemExit as wrong_usage:
        code = wrong_usage.code
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else {}, captured.err


def test_the_command_line_trains_uses_and_goes_back(gallery, capsys, tmp_path, embedder):
    where = ("--library", str(gallery.folder.parent))
    train = ("train", "--gallery", "drawn", *where)
    code, answer, errors = run(capsys, *train, "--save", "cheap", "--preset", "quick", "--epochs", "2", "--seed", "4")
    assert code == 0
    assert {"model", "images", "classes", "epochs", "seconds", "loss", "before", "after"} <= answer.keys()
    assert (answer["model"], answer["classes"], answer["images"], answer["epochs"]) == ("cheap", 3, 18, 2)
    assert "epoch 2: 2 of 2 · loss" in errors
    code, answer, _ = run(capsys, "use", "drawn", "cheap", *where)
    assert (code, answer["model"], answer["previous"]) == (0, "cheap", "unifex-lite-4")
    image = tmp_path / "query.png"
    image.write_bytes(encoded(picture("signs/cross", 77)))
    code, answer, _ = run(capsys, "search", str(image), "--gallery", "drawn", *where)
    model = Embedder.load("cheap", models=gallery.folder.parent / "models")
    query = model.embed([image])[0]
    items = model.embed([gallery.original(gallery.item_at(hit["path"])) for hit in answer["results"][0]["hits"]])
    assert [hit["score"] for hit in answer["results"][0]["hits"]] == pytest.approx((items @ query).tolist(), abs=2e-3)
    code, answer, _ = run(capsys, "use", "drawn", *where)
    assert answer["model"] == "unifex-lite-4"
    code, answer, _ = run(
        capsys, *train, "--save", "held", "--preset", "quick", "--hold-out-label", "signs/cross", "--use"
    )
    assert answer["held_out_classes"] == 1
    assert ("used" in answer) == (answer["verdict"] != "worse")
    for options, why in (
        (("--save", "cheap"), "already"),
        (("--save", "pca"), "'pca' is what models are compared with"),
        (("--save", "x", "--learning-rate", "fast"), "not a number"),
        (("--save", "x", "--preset", "few", "--epochs", "3"), "epochs: one exact step does not use this"),
        (("--save", "x", "--dim", "100"), "--dim is one of 64, 128, 256, 512"),
        (("--save", "x", "--hold-out", "1"), "share"),
        (("--save", "x", "--config", str(tmp_path / "none.yaml")), "none.yaml"),
        (("--save", "x", "--log", "trackio"), "pip install trackio"),
    ):
        code, _, errors = run(capsys, *train, *options)
        assert code in (1, 2)
        assert why in errors
