"""Files as the public UniFEx code writes them: imported, searched with, trained upon."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.cli import main
from unifex.core.progress import finish
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.gallery.other_backbone import index_anew
from unifex.models.backbones import BackboneError
from unifex.models.embedder import Embedder, ModelError
from unifex.models.export import export
from unifex.models.torchscript import EXTRA
from unifex.retrieval.search import search
from unifex.training.config import PRESETS
from unifex.training.run import train

FITTING = {"size": 32, "fit": "pad", "interpolation": "bicubic", "crop_fraction": 1.0, "fill": [255, 255, 255]}


class Public(torch.nn.Module):
    """The shape of the public inference model: resize, normalise, backbone, projection."""

    def __init__(self, size: int = 32, dim: int = 64):
        super().__init__()
        self.img_size = size
        self.mean, self.std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
        self.backbone = torch.nn.Sequential(
            torch.nn.Conv2d(3, 24, 5, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(24, 40, 3)
        )
        self.head = torch.nn.Sequential(torch.nn.Dropout(0.2), torch.nn.Linear(40, dim))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        size = [self.img_size, self.img_size]
        images = transforms.resize(images, size, interpolation=InterpolationMode.BICUBIC, antialias=True)
        images = transforms.normalize(images / 255.0, self.mean, self.std)
        return self.head(self.backbone(images).mean([2, 3]))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    torch.jit.script(Public().eval()).save(tmp_path / "public.pt")
    return tmp_path / "public.pt"


def test_an_imported_file_embeds_as_it_does_itself(file, tmp_path):
    model = Embedder.import_model(file, "public", tmp_path / "indexes" / "models")
    assert (model.default_dim, model.backbone.preprocessing.size) == (64, 32)
    image = picture("shapes/disc", 1, side=90)
    pixels = model.backbone.preprocessing.to_input(image)
    itself = torch.jit.load(file)(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float())[0].detach().numpy()
    np.testing.assert_allclose(model.embed([image])[0], itself / np.linalg.norm(itself), atol=1e-5)
    whole = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    resized_inside = torch.jit.load(file)(whole)[0].detach().numpy()
    assert model.embed([image])[0] @ resized_inside / np.linalg.norm(resized_inside) > 0.999


def test_it_serves_galleries_and_a_neck_is_trained_upon_it(file, tmp_path, folder):
    models = tmp_path / "indexes" / "models"
    model = Embedder.import_model(file, "public", models)
    gallery = Gallery.create(tmp_path / "indexes" / "g", model)
    run_index(gallery, folder)
    query = encoded(picture("signs/cross", 3))
    found = search(Gallery.open(gallery.folder), [query], k=1)
    assert found.hits[0].score == pytest.approx(1, abs=1e-3)  # that very picture is there
    config = replace(PRESETS["best"].config, dims=(16, 32), init="random", epochs=3)
    outcome = finish(train(Gallery.open(gallery.folder), "upon", config))
    upon = Embedder.load("upon", models)
    assert upon.backbone.id == "torchscript:public"
    expected = outcome.neck.embed(model.features([query]), 32)
    np.testing.assert_allclose(upon.embed([query], 32), expected, atol=1e-5)


def test_the_command_line_imports_and_lists(file, tmp_path, capsys):
    where = ["--library", str(tmp_path / "indexes"), "--json"]
    assert main.main(["import", str(file), "--save", "public", "--size", "48", *where]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 48
    assert main.main(["models", *where]) == 0
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert listed["public"]["parameters"] == sum(p.numel() for p in Public().parameters())
    assert main.main(["import", str(file), "--save", "public", *where]) == 1
    assert "already" in capsys.readouterr().err


def test_a_model_on_such_a_file_leaves_as_torchscript_alone(file, tmp_path, capsys):
    library = ["--library", str(tmp_path / "indexes")]
    assert main.main(["import", str(file), "--save", "own", *library]) == 0
    capsys.readouterr()
    assert main.main(["export", "--model", "own", "--out", str(tmp_path / "own.onnx"), *library]) == 1
    said = capsys.readouterr().err
    assert "which cannot become ONNX; take both as one TorchScript file (here: python -m unifex export" in said
    assert "--format torchscript --out FILE.pt)" in said
    assert main.main(["export", "--model", "own", "--out", str(tmp_path / "own.pt"), *library]) == 0
    assert not list(tmp_path.glob("*.onnx*"))


class Dark(torch.nn.Module):
    """It divides by what a black picture has none of."""

    def __init__(self):
        super().__init__()
        self.public = Public()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.public(images) / (images.amax(dim=[1, 2, 3]) > 0).float()[:, None]


def test_a_picture_of_which_no_finite_numbers_are_made_is_refused(tmp_path, folder, capsys):
    torch.jit.script(Dark().eval()).save(tmp_path / "dark.pt")
    models = tmp_path / "indexes" / "models"
    model = Embedder.import_model(tmp_path / "dark.pt", "dark", models)
    black = folder / "black.png"
    black.write_bytes(encoded(Image.new("RGB", (40, 30))))
    where = ["--library", str(tmp_path / "indexes")]
    assert main.main(["index", str(folder), "--gallery", "g", "--model", "dark", *where, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(one["path"], "no finite numbers" in one["reason"]) for one in report["failed"]] == [("black.png", True)]
    assert main.main(["search", str(black), "--gallery", "g", *where]) == 1
    assert "no finite numbers" in capsys.readouterr().err
    with pytest.raises(ModelError, match="no finite numbers"):
        model.embed([black.read_bytes()])
    whole = Gallery.create(tmp_path / "indexes" / "whole", Embedder.load())
    run_index(whole, folder)
    with pytest.raises(GalleryError, match=r"black\.png.*no finite numbers"):
        finish(index_anew(Library(tmp_path / "indexes"), "whole", "anew", model))
    assert main.main(["pack", "g", "--out", str(tmp_path / "g.zip"), *where]) == 0
    assert main.main(["unpack", str(tmp_path / "g.zip"), "--gallery", "back", *where]) == 0


def test_it_travels_as_far_as_it_can(file, tmp_path, folder, capsys):
    """Its folder alone is of no use elsewhere, and nothing pretends that it were."""
    here, there = (["--library", str(tmp_path / name)] for name in ("here", "there"))
    assert main.main(["import", str(file), "--save", "public", *here]) == 0
    assert main.main(["index", str(folder), "--gallery", "g", "--model", "public", *here]) == 0
    for out in (str(tmp_path / "out"), "hf:me/public"):
        capsys.readouterr()
        assert main.main(["export", "--model", "public", "--out", out, *here]) == 1
        assert "stands on an imported TorchScript file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main.main(["pack", "g", "--out", str(tmp_path / "g.zip"), *here]) == 0
    unpack = ["unpack", str(tmp_path / "g.zip"), "--gallery", "g", *there]
    assert main.main(unpack) == 1
    said = capsys.readouterr().err
    assert "import that here first, or pack a gallery of the same images with another model" in said
    assert "(here: python -m unifex import FILE --save public)" in said
    assert not list((tmp_path / "there").glob("*/*"))
    assert main.main(["import", str(file), "--save", "public", *there]) == 0
    assert main.main(unpack) == 0
    other = Embedder.load(str(tmp_path / "here" / "models" / "public"))
    Gallery.create(tmp_path / "third" / "g", other)  # from another library: it is copied
    assert Gallery.open(tmp_path / "third" / "g").embedder.neck.hash == other.neck.hash


class Sized(torch.nn.Module):
    def __init__(self, said) -> None:
        super().__init__()
        self.img_size, self.pool = said, torch.nn.AdaptiveAvgPool2d(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.pool(images).flatten(1)


@pytest.mark.parametrize(("said", "size"), [((48, 48), 48), ([40], 40), ((48, 64), None), ("large", None)])
def test_the_size_that_a_file_says(said, size, tmp_path):
    torch.jit.script(Sized(said)).save(tmp_path / "sized.pt")
    if size is None:
        with pytest.raises(BackboneError, match="say it with --size"):
            Embedder.import_model(tmp_path / "sized.pt", "sized", tmp_path / "models")
    model = Embedder.import_model(tmp_path / "sized.pt", "sized", tmp_path / "models", None if size else 32)
    assert model.backbone.preprocessing.size == (size or 32)


class Maps(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "or it is damaged$"), (b"PK\x03\x04 rubbish", "or it is damaged$"), ("maps", "into vectors")],
)
def test_other_files_are_refused_and_leave_nothing(tmp_path, content, why):
    file = tmp_path / "other.pt"
    if content == "maps":
        torch.jit.script(Maps()).save(file)
    else:
        file.write_bytes(content)
    with pytest.raises(BackboneError, match=why):
        Embedder.import_model(file, "other", tmp_path / "models")
    assert not (tmp_path / "models" / "other").exists()


@pytest.mark.parametrize("kind", ["checkpoint", "old checkpoint", "pickle"])
def test_a_pickle_is_refused_by_name(tmp_path, kind):
    file = tmp_path / "weights.pt"
    if kind == "pickle":
        file.write_bytes(pickle.dumps({"weights": [1, 2]}))
    else:
        torch.save({"weights": torch.ones(3)}, file, _use_new_zipfile_serialization=kind == "checkpoint")
    with pytest.raises(BackboneError, match=r"weights\.pt is a pickle, which may run anything"):
        Embedder.import_model(file, "other", tmp_path / "models")
    assert not list((tmp_path / "models").glob("*"))


def test_a_damaged_import_says_so(file, tmp_path):
    models = tmp_path / "models"
    Embedder.import_model(file, "public", models)
    (models / "public" / "backbone.pt").unlink()
    with pytest.raises(BackboneError, match="import it again"):
        Embedder.load("public", models)


@pytest.mark.parametrize(("fit", "crop"), [("pad", 1.0), ("crop", 0.9), ("squash", 1.0)])
def test_what_was_exported_is_imported_as_the_same_model(embedder, photographs, tmp_path, fit, crop):
    """Images are fitted once, as the original fits them: not squeezed first, and not cropped twice."""
    prep = replace(embedder.backbone.preprocessing, fit=fit, crop_fraction=crop, fill=(9, 90, 190))
    original = Embedder(embedder.config, embedder.neck, replace(embedder.backbone, preprocessing=prep))
    export(original, "torchscript", tmp_path / "model.pt", 64)
    model = Embedder.import_model(tmp_path / "model.pt", "again", tmp_path / "models")
    wide = [image.resize((400, 150)) for image in photographs]
    for pictures in (photographs, wide):
        np.testing.assert_allclose(model.embed(pictures), original.embed(pictures, 64), atol=2e-3)
    export(model, "torchscript", tmp_path / "twice.pt")
    twice = Embedder.import_model(tmp_path / "twice.pt", "twice", tmp_path / "models")
    np.testing.assert_allclose(twice.embed(wide), model.embed(wide), atol=1e-5)


def test_import_says_where_a_file_does_not_say_how_images_are_fitted(file, tmp_path, capsys):
    where = ["--library", str(tmp_path / "indexes")]
    assert main.main(["export", "--out", str(tmp_path / "own.pt"), *where]) == 0
    capsys.readouterr()
    assert main.main(["import", str(tmp_path / "own.pt"), "--save", "own", *where]) == 0
    assert "fitted" not in capsys.readouterr().out
    assert main.main(["import", str(file), "--save", "public", *where]) == 0
    assert "does not say how images are fitted; they are squeezed to 32 x 32 pixels" in capsys.readouterr().out


@pytest.mark.parametrize(
    "said",
    [
        "no JSON",
        "[]",
        '{"size": 9}',
        *(json.dumps(FITTING | odd) for odd in ({"fit": "x"}, {"fill": [1]}, {"crop_fraction": 0})),
    ],
)
def test_what_such_a_file_says_is_not_trusted(file, tmp_path, said):
    class Fitted(Public):
        @torch.jit.export
        def of_fitted(self, images: torch.Tensor) -> torch.Tensor:
            return self.forward(images)

    torch.jit.save(torch.jit.script(Fitted().eval()), tmp_path / "odd.pt", _extra_files={EXTRA: said})
    with pytest.raises(BackboneError, match=r"how its images are fitted cannot be read: .*; export it again"):
        Embedder.import_model(tmp_path / "odd.pt", "odd", tmp_path / "models")
    assert not (tmp_path / "models" / "odd").exists()
