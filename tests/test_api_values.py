"""What the public functions take for an image, a length of embeddings and a gallery, and what they say to all else."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unifex
from tests.support.drawing import encoded, picture
from unifex.cli.main import main
from unifex.core.errors import UnifexError
from unifex.core.images import ImageError
from unifex.core.regions import Region
from unifex.models.export import export
from unifex.models.image_like import Crop
from unifex.models.neck import DimensionError

ITEM = "shapes/disc/0.png"


@pytest.mark.parametrize("given", ["path", "Path", "bytes", "picture", "crop", "list", "generator"])
def test_one_image_is_embedded_and_searched_with_as_a_list_of_it(gallery, embedder, folder, given):
    path = folder / ITEM
    forms = {
        "path": lambda: str(path),
        "Path": lambda: path,
        "bytes": path.read_bytes,
        "picture": lambda: Image.open(path),
        "crop": lambda: Crop(path, Region(0, 0, 1, 1)),
        "list": lambda: [str(path)],
        "generator": lambda: (one for one in [path]),
    }
    wanted = embedder.embed([path])
    assert np.allclose(embedder.embed(forms[given]()), wanted, atol=1e-5)
    assert embedder.features(forms[given]()).shape == (1, 1600)
    assert unifex.search(gallery, forms[given](), k=1).hits[0].path == ITEM


NO_IMAGES = {
    "None": (lambda: None, "NoneType is no image: give the path"),
    "nothing": (lambda: "", "no image is named: give the path"),
    "a number": (lambda: 5, "int is no image: give the path"),
    "an array": (lambda: np.zeros((1, 8, 8, 3), np.uint8), "ndarray is no image: give the path"),
    "a file that is open": (lambda: io.BytesIO(encoded(picture("shapes/disc", 0))), "BytesIO is no image: give the"),
    "no pixels": (lambda: Image.new("RGB", (0, 0)), "0 x 0 pixels: there is nothing to see"),
    "None among others": (lambda: [None], "NoneType is no image: give the path"),
}


@pytest.mark.parametrize("given", NO_IMAGES)
def test_what_is_no_image_is_told_what_to_give(gallery, embedder, given):
    make, sentence = NO_IMAGES[given]
    for ask in (embedder.embed, embedder.features, lambda it: unifex.search(gallery, it)):
        with pytest.raises(ImageError, match=sentence):
            ask(make())


@pytest.mark.parametrize("dim", [0, -1, 77, 64.0, "64", None, np.int64(64)])
def test_a_length_of_embeddings_is_one_that_the_model_has(gallery, embedder, folder, dim):
    asks = (
        lambda: embedder.embed(folder / ITEM, dim=dim).shape[1],
        lambda: unifex.search(gallery, folder / ITEM, dim=dim).dim,
        lambda: unifex.evaluate(gallery, dim=dim).main.dim,
    )
    for ask in asks:
        if dim is None or isinstance(dim, np.integer):
            assert ask() == (256 if dim is None else 64)
            continue
        with pytest.raises(DimensionError, match=r"this model has 64"):
            ask()


def test_a_file_that_is_not_there_or_ends_early_is_named(gallery, embedder, tmp_path):
    whole = encoded(picture("shapes/disc", 0))
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    asks = (embedder.embed, lambda it: unifex.search(gallery, it))
    for ask in asks:
        for given, why in (
            (tmp_path / "nothing.png", r"\(nothing.png\)"),
            (tmp_path, tmp_path.name),
            ("a\0b", "null"),
            (tmp_path / "half.png", "half.png: truncated file"),
        ):
            with pytest.raises(ImageError, match=why):
                ask(given)
        with pytest.raises(ImageError, match="truncated file"):
            ask(Image.open(tmp_path / "half.png"))
        ask(Image.new("La", (40, 30), (90, 200)))


WRONG = {
    "a preset's name": (lambda gallery: unifex.train(gallery, "new", "best"), "config takes TrainConfig, not 'best'"),
    "a share": (lambda gallery: unifex.train(gallery, "new", hold_out=0.2), "hold_out takes HoldOut, not 0.2"),
    "a gallery's name": (lambda gallery: unifex.train("drawn", "new"), "gallery takes Gallery, not 'drawn'"),
    "a protocol's name": (
        lambda gallery: unifex.evaluate(gallery, "split"),
        "takes EvalProtocol, not 'split'",
    ),
    "conditions": (lambda gallery: unifex.search(gallery, b"", filters={}), "filters takes Filters, not {}"),
    "workers": (lambda gallery: unifex.index(gallery, "x", pace=4), "pace takes Pace, not 4"),
    "a model's name": (
        lambda gallery: unifex.Gallery.open_or_create(gallery.folder.with_name("new"), "unifex-lite-4"),
        "embedder takes Embedder, not 'unifex-lite-4'",
    ),
    "another's name": (
        lambda gallery: unifex.Gallery.open(gallery.folder, "raw:lite0"),
        "embedder takes Embedder, not",
    ),
}


@pytest.mark.parametrize("given", WRONG)
def test_what_is_of_another_kind_is_told_what_to_give(gallery, given):
    ask, sentence = WRONG[given]
    with pytest.raises(UnifexError, match=sentence):
        ask(gallery)
    assert not gallery.folder.with_name("new").exists()


def test_places_may_be_texts(embedder, tmp_path):
    models = str(tmp_path / "models")
    embedder.save(f"{models}/mine")
    assert embedder.save_as("copy", models).name == "copy"
    loaded = unifex.Embedder.load("copy", models=models)
    assert (loaded.name, unifex.Embedder.load(f"{models}/mine").neck.hash) == ("copy", loaded.neck.hash)
    assert export(embedder, "safetensors", f"{models}/out").cosine > 0.999


def test_a_gallery_that_is_not_there_says_where(tmp_path, embedder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnifexError, match=f"no gallery 'nope' in {tmp_path.name}$"):
        unifex.Gallery.open("nope", embedder)


def test_they_tell_what_they_are(gallery, embedder):
    assert repr(embedder) == f"Embedder('unifex-lite-4', backbone 'lite0, adapted', dims {embedder.neck.dims})"
    assert repr(gallery) == "Gallery('drawn', 24 items, model 'unifex-lite-4')"
    library = unifex.Library(gallery.folder.parent)
    assert repr(library) == f"Library('{gallery.folder.parent}', galleries ['drawn'])"
    (gallery.folder / "items.sqlite").unlink()
    assert "has lost its items.sqlite" in repr(gallery)
    assert "None" not in repr(unifex.Library(Path("none")))


def test_another_model_is_nothing_to_warn_of(gallery, embedder, caplog):
    library = str(gallery.folder.parent)
    neck = replace(embedder.neck, bias=embedder.neck.bias + np.float32(0.01))
    unifex.Embedder(replace(embedder.config, name="another"), neck, embedder.backbone).save(gallery.models / "another")
    with caplog.at_level(logging.INFO, "unifex"):
        for name in ("another", "unifex-lite-4"):
            assert main(["use", "drawn", name, "--library", library]) == 0
            assert main(["search", "--item", ITEM, "--gallery", "drawn", "--library", library]) == 0
    assert [record.message for record in caplog.records if "made anew" in record.message] == []
