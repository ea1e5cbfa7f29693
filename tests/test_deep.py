"""Deep training: late blocks of the backbone learn with the neck; the model that comes of it, and its galleries."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch

from tests.support import drawing
from tests.support.galleries import packed, run_index, unpacked
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.gallery.other_backbone import index_anew
from unifex.models import backbones
from unifex.models.adaptation import Adaptation, AdaptationError
from unifex.models.efficientnet_lite import LITE0
from unifex.models.embedder import Embedder, ModelError
from unifex.models.export import export
from unifex.training import late_blocks, late_maps
from unifex.training.augment import draw_view
from unifex.training.config import PRESETS, TrainConfigError
from unifex.training.distributed import Processes
from unifex.training.held_out import HoldOut
from unifex.training.resume import checkpoints, has_reached_an_epoch
from unifex.training.run import assist, train
from unifex.ui.components.model_switch import ModelSwitch, Told
from unifex.ui.context import AppContext

DEEP = replace(
    PRESETS["deep"].config, epochs=2, augmentations=1, batch_size=16, backbone_learning_rate=1e-3, neck_epochs=2
)
NAME = "deep"


@pytest.fixture(scope="module")
def taught(tmp_path_factory, embedder) -> tuple[Gallery, Embedder]:
    """A gallery of drawn pictures, and a model whose late blocks learned from it."""
    home = tmp_path_factory.mktemp("deep")
    gallery = Gallery.create(home / "indexes" / "drawn", embedder)
    run_index(gallery, drawing.write_folder(home / "pictures"))
    result = finish(train(gallery, NAME, DEEP))
    assert result.adaptation
    assert {("raw", 1600), (f"raw, {NAME}", 1600), (NAME, 64), ("unifex-lite-4", 256)} <= {
        (e.model, e.dim) for e in result.evaluations
    }
    assert not list((gallery.models / ".training").glob("*.maps*"))
    return gallery, Embedder.load(NAME, models=gallery.models)


def test_only_late_blocks_learn_and_the_model_is_small(taught):
    gallery, model = taught
    before, after = (found.backbone.adaptation.differences for found in (gallery.embedder, model))
    learned = {name for name in after if name not in before or np.abs(after[name] - before[name]).max() > 1e-4}
    assert all(name.startswith(("blocks.5.", "blocks.6.", "head.")) for name in learned)
    assert any(name.startswith("blocks.5.0.") for name in learned)
    size = (gallery.models / NAME / "model.safetensors").stat().st_size
    assert size < 12e6
    before, after = (dict(backbones.build(spec).stages.named_buffers()) for spec in (LITE0, model.backbone))
    assert all(torch.equal(before[name], after[name]) for name in before)  # means and variances of batch norms


def test_what_is_measured_is_what_the_loaded_model_gives(taught):
    """Features by kept maps in training and by pixels in the engine agree, and differ from the plain backbone's."""
    gallery, model = taught
    paths = [Path(record.uri) for record in gallery.records(gallery.snapshot().columns.ids)][:4]
    network = backbones.build(model.backbone)
    with torch.inference_mode():
        pixels = torch.from_numpy(model.pixels(paths))
        in_parts = network.late(network.early(pixels, 2).half().float(), 2).numpy()
        nearly_all = network.late(network.early(pixels, 6), 6).numpy()  # from maps so large that they are convolved
    np.testing.assert_allclose(nearly_all, network(pixels).numpy(), atol=1e-5)
    found = model.features(paths)
    np.testing.assert_allclose(_unit(found) @ _unit(in_parts).T, _unit(found) @ _unit(found).T, atol=1e-3)
    plain = Embedder.raw("lite0").features(paths)
    assert (_unit(plain) * _unit(found)).sum(1).max() < 0.9999


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_it_has_an_identity_of_its_own(taught):
    gallery, model = taught
    assert model.backbone.weight_hash() == model.config.backbone_hash != LITE0.weight_hash()
    with pytest.raises(
        GalleryError, match=r"make another gallery of it for this one: `python -m unifex use .* --as NEW`"
    ):
        Gallery.open(gallery.folder, model)
    with pytest.raises(
        GalleryError, match=r"make another gallery of it for this one: `python -m unifex use .* --as NEW`"
    ):
        finish(Library(gallery.folder.parent).use(gallery.name, model))


def test_the_model_goes_wherever_a_model_goes(taught, tmp_path):
    """Saved under another name, exported, packed with a gallery and unpacked elsewhere: the same embeddings."""
    gallery, model = taught
    picture = drawing.picture("signs/cross", 3)
    expected = model.embed([picture], 64)
    copy = model.save_as("copy", tmp_path)
    np.testing.assert_array_equal(Embedder.load(copy.name, models=tmp_path).embed([picture], 64), expected)
    assert export(model, "torchscript", tmp_path / "model.pt").cosine > 0.999
    assert export(model, "safetensors", tmp_path / "folder").cosine > 0.999
    own = Gallery.create(tmp_path / "here" / "own", model)
    run_index(own, gallery.folder.parent.parent / "pictures")
    packed(own, tmp_path / "own.zip")
    there = Library(tmp_path / "there")
    opened = unpacked(tmp_path / "own.zip", "own", there)
    np.testing.assert_array_equal(opened.embedder.embed([picture], 64), expected)
    assert (there.models / NAME).is_dir()


def test_a_neck_can_be_trained_on_top_and_deep_again(taught, tmp_path):
    gallery, model = taught
    own = Gallery.create(tmp_path / "indexes" / "own", model)
    run_index(own, gallery.folder.parent.parent / "pictures")
    finish(train(own, "neck", replace(PRESETS["quick"].config, epochs=1)))
    neck = Embedder.load("neck", models=own.models)
    assert neck.backbone.weight_hash() == model.backbone.weight_hash()
    finish(train(own, "deeper", replace(DEEP, epochs=1, late_blocks=1)))
    deeper = Embedder.load("deeper", models=own.models)
    first, second = (each.backbone.adaptation.differences for each in (model, deeper))
    assert first.keys() == second.keys()
    np.testing.assert_array_equal(first["blocks.5.0.conv_pw.weight"], second["blocks.5.0.conv_pw.weight"])
    assert not np.array_equal(first["head.0.weight"], second["head.0.weight"])


def test_the_neck_is_trained_anew_on_what_the_blocks_have_learned(taught):
    """As one is in a gallery that the adapted backbone has indexed."""
    gallery, _ = taught
    config = replace(DEEP, init="pca", epochs=1, neck_interpolation=0.7)
    learned_from = finish(train(gallery, "anew", config)).data.train
    anew = Embedder.load("anew", models=gallery.models)
    own = Gallery.create(gallery.folder.parent / "own", anew)
    run_index(own, gallery.folder.parent.parent / "pictures")
    finish(train(own, "alone", config.of_the_neck_anew))
    alone = Embedder.load("alone", models=own.models)
    features = own.features(own.snapshot().columns.sha256s())[learned_from]
    assert (anew.neck.embed(features, 64) * alone.neck.embed(features, 64)).sum(1).min() > 0.999


def test_interpolation_goes_part_of_the_way(taught):
    gallery, model = taught
    half = finish(train(gallery, "half", replace(DEEP, interpolation=0.5, neck_interpolation=0.0)))
    began, whole, halfway = (
        adaptation.differences["head.0.weight"].astype(np.float32)
        for adaptation in (gallery.embedder.backbone.adaptation, model.backbone.adaptation, half.adaptation)
    )
    np.testing.assert_allclose(halfway, (began + whole) / 2, rtol=0.01, atol=1e-5)
    cosines = half.neck.weight @ gallery.embedder.neck.weight.T  # it began with the gallery's own, at another length
    np.testing.assert_allclose(
        np.diag(cosines) ** 2, (half.neck.weight**2).sum(1) * (gallery.embedder.neck.weight**2).sum(1), rtol=1e-3
    )
    assert LITE0.adapted(Adaptation({})).weight_hash() == LITE0.weight_hash()
    none = finish(train(gallery, "none", replace(DEEP, interpolation=0.0)))
    assert none.adaptation is None  # so that the gallery need not be indexed anew
    assert Embedder.load("none", models=gallery.models).backbone.weight_hash() == gallery.config.backbone_hash
    kept = half.adaptation.differences
    before = gallery.embedder.backbone.adaptation.differences
    others = [name for name in before if not name.startswith(("blocks.5.", "blocks.6.", "head."))]
    assert all(np.array_equal(kept[name], before[name]) for name in others)


def test_a_stopped_training_goes_on_to_the_same_model(taught, monkeypatch):
    gallery, model = taught
    monkeypatch.setattr(late_maps, "AT_ONCE", 8)
    work = train(gallery, "stopped", DEEP)
    frozen = next(step for step in work if step.stage == "frozen part" and 0 < step.done < step.total)
    assert "MB on disk" in frozen.note
    assert "in all" in frozen.note
    work.close()  # while maps are being made
    assert [job.name for job in checkpoints(gallery.models)] == ["stopped"]
    assert not has_reached_an_epoch(gallery.models, "stopped")
    again = train(gallery, "stopped", DEEP)
    steps = [next(step for step in again if step.stage == "frozen part")]
    assert steps[0].done == frozen.done
    next(step for step in again if step.stage == "epoch 1")
    again.close()
    assert [job.name for job in checkpoints(gallery.models)] == ["stopped"]
    steps = []
    finish(train(gallery, "stopped", DEEP), steps.append)
    assert [step.stage for step in steps if step.stage.startswith("epoch")] == ["epoch 2"]
    found = Embedder.load("stopped", models=gallery.models)
    assert found.backbone.weight_hash() == model.backbone.weight_hash()
    np.testing.assert_array_equal(found.neck.weight, model.neck.weight)


def test_what_a_stopped_training_reached_is_kept(taught):
    gallery, _ = taught
    work = train(gallery, "kept", DEEP, HoldOut(share=0))
    next(step for step in work if step.stage == "epoch 1")
    work.close()
    result = finish(train(gallery, "kept", DEEP, HoldOut(share=0), finish=True))
    assert result.adaptation
    assert result.verdict == "unmeasured"


def test_views_are_drawn_by_seed_alone():
    picture = drawing.picture("signs/cross", 0)
    first, again, other, further = (draw_view(picture, "ab", *of) for of in ((1, 0), (1, 0), (1, 1), (2, 0)))
    assert draw_view(picture, "ab", 0, 5) is picture
    assert np.array_equal(first, again)
    assert not any(np.array_equal(first, another) for another in (other, further))
    area = first.width * first.height / (picture.width * picture.height)
    assert 0.55 < area <= 1


def test_what_cannot_be_taught_says_so(taught, tmp_path, monkeypatch):
    gallery, _ = taught
    with pytest.raises(GalleryError, match="without torchrun"):
        finish(train(gallery, "many", DEEP, processes=Processes(0, 2)))
    with pytest.raises(GalleryError, match="without torchrun"):
        assist(gallery, "many", DEEP, HoldOut(), Processes(1, 2))
    with pytest.raises(TrainConfigError, match="interpolation"):
        replace(DEEP, interpolation=2.0)
    with pytest.raises(UnifexError, match="7 late blocks of 7"):
        finish(train(gallery, "all", replace(DEEP, late_blocks=7)))
    with pytest.raises(ModelError, match="no stopped training 'never'"):
        next(train(gallery, "never", DEEP, finish=True))
    with monkeypatch.context() as patched:
        patched.setattr(disk, "free", lambda path: 1000)
        with pytest.raises(GalleryError, match="make room"):
            finish(train(gallery, "full", DEEP))
    assert not list((gallery.models / ".training").glob("full.maps"))
    moved = Gallery.open(Path(shutil.copytree(gallery.folder, tmp_path / "indexes" / "moved")))
    pictures = gallery.folder.parent.parent / "pictures"
    pictures.rename(pictures.with_name("elsewhere"))
    try:
        with pytest.raises(GalleryError, match="no longer there"):
            finish(train(moved, "gone", DEEP))
    finally:
        pictures.with_name("elsewhere").rename(pictures)


def test_a_foreign_or_damaged_adaptation_is_refused(taught, tmp_path):
    gallery, _ = taught
    for name, difference in (("no.such", np.ones(3, np.float16)), ("head.0.weight", np.ones((2, 2), np.float16))):
        with pytest.raises(AdaptationError, match="no weight"):
            backbones.build(LITE0.adapted(Adaptation({name: difference})))
    with pytest.raises(ValueError, match="finite float16"):
        Adaptation({"head.0.weight": np.full(3, np.nan, np.float16)})
    folder = tmp_path / "damaged"
    shutil.copytree(gallery.models / NAME, folder)
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[8 + int.from_bytes(data[:8], "little") + 1000] ^= 1  # in the first of the tensors, which is a difference
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match=r"other weights|damaged"):
        Embedder.load(str(folder))


def test_the_command(taught, tmp_path, capsys):
    gallery, _ = taught
    library = ["--library", str(gallery.folder.parent)]
    quick = ["--preset", "deep", "--epochs", "1", "--augmentations", "0", "--use"]
    main(["train", "--gallery", gallery.name, "--save", "told", *quick, *library, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "told"
    assert "used" not in told
    main(["use", gallery.name, "told", "--as", "new", *library])
    assert Library(gallery.folder.parent).get("new").config.model == "told"


def test_a_gallery_indexed_anew_is_the_same_with_other_features(taught):
    gallery, model = taught
    library = Library(gallery.folder.parent)
    item = gallery.records(gallery.snapshot().columns.ids)[0]
    with gallery.write() as writer:
        writer.tag([item.id], ["seen"])
    made = finish(index_anew(library, gallery.name, "anew", model))
    assert [record.path for record in made.records(made.snapshot().columns.ids)] == [
        record.path for record in gallery.records(gallery.snapshot().columns.ids)
    ]
    assert made.tags() == {"seen": 1}
    assert made.thumbnail(item.sha256) == gallery.thumbnail(item.sha256)
    np.testing.assert_allclose(
        made.features([item.sha256])[0], model.features([Path(item.uri)])[0].astype(np.float16), atol=2e-3
    )
    run_index(made, gallery.folder.parent.parent / "pictures")
    assert len(made) == len(gallery)  # it goes on being a gallery of its sources
    with pytest.raises(GalleryError, match="already"):
        finish(index_anew(library, gallery.name, "anew", model))


def test_indexing_anew_that_is_stopped_or_fails_leaves_nothing(taught):
    gallery, model = taught
    library = Library(gallery.folder.parent)
    work = index_anew(library, gallery.name, "half", model)
    next(work)
    work.close()
    assert not (library.folder / "half").exists()
    pictures = gallery.folder.parent.parent / "pictures"
    pictures.rename(pictures.with_name("elsewhere"))
    try:
        with pytest.raises(GalleryError, match="no longer there"):
            finish(index_anew(library, gallery.name, "half", model))
    finally:
        pictures.with_name("elsewhere").rename(pictures)
    assert not (library.folder / "half").exists()


def test_the_page_indexes_anew_what_has_features_of_its_own(taught):
    gallery, model = taught
    context = AppContext(Settings(), Library(gallery.folder.parent), gallery.embedder)
    switch = ModelSwitch(context)
    with gr.Blocks():
        switch.build_back()
        switch.build_notices()
    switch.begin([gallery.name], model.name)
    while context.is_busy("use"):
        time.sleep(0.05)
    job = context.outcome("use")
    assert [made.name for made in job.result] == [f"{gallery.name} ({NAME})"]
    assert switch.made(Told())
    assert "stands beside" in switch.show_change(gallery.name, Told())[switch.notice]
    made, own = f"{gallery.name} ({NAME})", gallery.config.model
    for name, of, told in ((gallery.name, model.name, f"'{made}' is there already"), (gallery.name, own, "is searched"),
                           (made, model.name, "is searched with")):  # fmt: skip
        with pytest.raises(GalleryError, match=re.escape(told)):
            switch.begin([name], of)
    library = context.library
    library.delete(library.rename(f"{gallery.name} ({NAME})", "elsewhere").name)
    assert f"{gallery.name} ({NAME})" in switch.show_change(gallery.name, Told())[switch.notice]


class Slow:
    """A network on a clock of its own, to which every call costs ``once`` and every image ``each``, in seconds."""

    mean = torch.zeros(1)

    def __init__(self, once: float, each: float):
        self.once, self.each, self.now, self.most = once, each, 0.0, 0

    def to(self, **_: object) -> Slow:
        return self

    def late(self, maps: torch.Tensor, blocks: int) -> torch.Tensor:
        self.now += self.once + self.each * len(maps)
        self.most = max(self.most, len(maps))
        return maps


@pytest.mark.parametrize(
    ("once", "each", "most"),
    [
        (1.0, 0.01, late_blocks.AT_ONCE),  # what is made ready for every call is shared by those that learn together
        (0.0, 1.0, 16),  # no more are tried of a slow one than it takes to see that it is all the same
    ],
)
def test_what_a_training_takes_is_told_of_as_many_as_learn_together(monkeypatch, once, each, most):
    network = Slow(once, each)
    monkeypatch.setattr(late_blocks.time, "perf_counter", lambda: network.now)
    frozen = late_maps.FrozenPart(2, (4, 3, 3), lambda pixels: np.zeros((len(pixels), 4, 3, 3), np.float16), 2)
    pace = late_blocks.measure_pace(network, frozen, 16)
    assert network.most == most
    assert pace.late == pytest.approx(once / late_blocks.AT_ONCE + each)
    assert pace.step == pytest.approx(late_blocks.STEP * pace.late)
