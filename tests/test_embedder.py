import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.drawing import LABELS, encoded, picture
from tests.support.galleries import BUNDLED
from tests.support.trap import trap
from unifex.core.images import ImageError
from unifex.core.vectors import l2_normalize
from unifex.models import neck
from unifex.models.backbones import BackboneError
from unifex.models.embedder import (
    BUNDLED_MODELS,
    DEFAULT_MODEL,
    FILES,
    Embedder,
    ModelError,
    find_model,
    list_models,
    read_neck,
)

PICTURE = picture("shapes/disc", 0)


def test_all_ways_to_give_an_image_agree(embedder, tmp_path):
    data = encoded(PICTURE)
    (tmp_path / "a.png").write_bytes(data)
    embedded = embedder.embed([PICTURE, data, tmp_path / "a.png", str(tmp_path / "a.png")])
    assert embedded.shape == (4, 256)
    assert embedded.dtype == np.float32
    assert np.allclose(embedded, embedded[0])
    assert np.allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)


def test_many_pictures_at_once_are_as_one_by_one(embedder, photographs):
    many = [*photographs, *(picture(label, 1) for label in LABELS)] * 3
    assert len(many) > embedder.engine.workers
    one_by_one = np.concatenate([embedder.features([one]) for one in many])
    assert np.abs(embedder.features(many) - one_by_one).max() < 1e-5 * np.abs(one_by_one).max()
    with pytest.raises(ImageError, match="not an image"):
        embedder.features([*many, b"nonsense", *many])


def test_similar_pictures_are_closer(embedder, photographs):
    cat, coffee = photographs[:2]
    same, other = (embedder.embed([cat, image], 64) for image in (cat.crop((30, 20, 430, 290)), coffee))
    assert same[0] @ same[1] > 0.6 > other[0] @ other[1]


def test_no_images_give_no_embeddings(embedder):
    assert embedder.embed([]).shape == (0, 256)


def test_a_bad_image_is_refused(embedder):
    with pytest.raises(ImageError, match="not an image"):
        embedder.embed([b"nonsense"])
    with pytest.raises(ImageError, match=r"^test_embedder\.py: not an image"):
        embedder.embed([picture(next(iter(LABELS)), 0), __file__])


def test_a_fitted_neck_is_saved_as_it_is(embedder, tmp_path):
    """PCA weights are a transposed array: its memory is not in the order of its rows."""
    fitted = neck.pca(np.random.default_rng(0).standard_normal((200, embedder.backbone.feature_dim)), (64,))
    config = replace(embedder.config, name="fitted", neck="pca", dims=(64,), default_dim=64)
    Embedder(config, fitted, embedder.backbone).save(tmp_path / "fitted")
    loaded = Embedder.load("fitted", models=tmp_path)
    assert np.array_equal(loaded.neck.weight, fitted.weight)


def test_the_shipped_neck_keeps_what_the_features_find_alike(embedder):
    """It was trained to; an array that came back scrambled finds anything alike."""
    pictures = [picture(label, view) for label in LABELS for view in range(5)]
    features = embedder.features(pictures)
    for dim in embedder.neck.dims:
        embeddings = embedder.neck.embed(features, dim)
        cosines = embeddings @ embeddings.T
        raw = l2_normalize(features, 1600) @ l2_normalize(features, 1600).T
        off_diagonal = ~np.eye(len(cosines), dtype=bool)
        assert np.corrcoef(cosines[off_diagonal], raw[off_diagonal])[0, 1] > 0.8


def test_a_model_is_named_by_a_text_or_a_path(embedder, tmp_path):
    embedder.save(tmp_path)
    assert Embedder.load(tmp_path).neck.hash == Embedder.load(str(tmp_path)).neck.hash == embedder.neck.hash
    for given in (None, 3, b"lite0"):
        with pytest.raises(ModelError, match="names no model: give its name, or the path of its folder"):
            Embedder.load(given)


def test_save_and_load_give_the_same_embeddings(embedder, tmp_path):
    embedder.save(tmp_path / "copy")
    again = Embedder.load(str(tmp_path / "copy"))
    assert np.array_equal(again.embed([PICTURE], 512), embedder.embed([PICTURE], 512))
    assert not list((tmp_path / "copy").glob("*.p*"))  # no pickle


def test_the_adapted_model_is_small_and_another_in_its_last_blocks_alone(embedder):
    adapted, frozen = embedder, Embedder.load("unifex-lite")
    names = adapted.backbone.adaptation.differences
    assert adapted.backbone.title == "EfficientNet-Lite0, adapted"
    assert all(name.startswith(("blocks.4.", "blocks.5.", "blocks.6.", "head.")) for name in names)
    assert (BUNDLED_MODELS / "unifex-lite-4" / FILES[1]).stat().st_size < 12e6
    assert adapted.neck.dims == frozen.neck.dims
    other, own = frozen.embed([PICTURE])[0], adapted.embed([PICTURE])[0]
    assert np.linalg.norm(own) == pytest.approx(1, abs=1e-5)
    assert other @ own < 0.9


@pytest.mark.parametrize("name", BUNDLED)
def test_galleries_keep_the_model_that_they_were_made_with(name):
    """Whatever is the default by now: each is in the box, and its backbone is the very one."""
    model = Embedder.load(name)
    assert model.backbone.weight_hash() == model.config.backbone_hash
    assert model.neck.dims == (64, 128, 256, 512)


def test_the_larger_model_is_two_networks_adapted_in_their_last_blocks(embedder):
    base = Embedder.load("unifex-base-3")
    assert base.backbone.title == "EfficientNet-Lite0 beside Lite2, adapted"
    late = tuple(
        f"{network}.{part}"
        for network in ("lite0", "lite2")
        for part in ("blocks.4.", "blocks.5.", "blocks.6.", "head.")
    )
    assert all(name.startswith(late) for name in base.backbone.adaptation.differences)
    assert base.neck.dims == embedder.neck.dims
    assert base.config.score(256) > embedder.config.score(256)
    pictures = [picture(label, view) for label in LABELS for view in range(2)]
    cosines = base.embed(pictures) @ base.embed(pictures).T
    np.fill_diagonal(cosines, -1)
    assert [int(row.argmax()) // 2 for row in cosines] == [place // 2 for place in range(len(pictures))]


def test_raw_features_are_an_embedding():
    raw, frozen = Embedder.load("raw:lite0"), Embedder.load("unifex-lite")
    features = frozen.features([PICTURE])
    assert np.allclose(raw.embed([PICTURE]), features / np.linalg.norm(features), atol=1e-6)


@pytest.fixture
def broken(tmp_path):
    """Copies the shipped model, changes one field of its config, and gives the folder."""

    def make(**changes):
        shutil.copytree(BUNDLED_MODELS / "unifex-lite", tmp_path / "model")
        path = tmp_path / "model" / "config.json"
        values = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
        return str(tmp_path / "model")

    return make


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": 99}, "schema 99"),
        ({"colour": "red"}, "unknown fields.*colour"),
        ({"neck": None}, "missing fields.*neck"),
        ({"dims": "many"}, "dims"),
        ({"dims": [10**9]}, "dims"),
        ({"dims": [True]}, "dims"),
        ({"dims": {}}, "dims '{}' is no list"),
        ({"dims": []}, "dims"),
        ({"name": 7}, "name '7' is no str"),
        ({"backbone": ["lite0"]}, "backbone .* is no str"),
        ({"backbone": "nothing/of-the-kind"}, "nothing/of-the-kind"),
        ({"neck": "abacus"}, "abacus"),
        ({"scores": [1]}, "scores"),
        ({"default_dim": "64"}, "default_dim '64' is no int"),
        ({"default_dim": -64}, "default_dim -64"),
        ({"default_dim": 7}, "default_dim 7"),
        ({"dims": [64, 128]}, "default_dim|neck"),
        ({"backbone_hash": "0" * 16}, "other weights"),
    ],
)
def test_a_config_that_is_wrong_says_so(broken, changes, sentence):
    with pytest.raises((ModelError, BackboneError), match=sentence):
        Embedder.load(broken(**changes))


@pytest.mark.parametrize("text", ["", "[]", "{", "\0", '"x"', "[" * 100_000, "9" * 10_000])
def test_a_config_that_is_no_config(broken, tmp_path, text):
    folder = broken()
    (tmp_path / "model" / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        Embedder.load(folder)


def test_a_broken_model_does_not_hide_the_others(broken, tmp_path, caplog):
    broken(schema=99)
    assert [config.name for config in list_models(tmp_path)] == BUNDLED
    assert "schema 99" in caplog.text


def test_a_pickle_in_the_place_of_the_weights_is_not_opened(broken, tmp_path):
    folder = broken()
    (tmp_path / "model" / "model.safetensors").write_bytes(trap(tmp_path / "sprung"))
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be used"):
        Embedder.load(folder)
    assert not (tmp_path / "sprung").exists()


def test_damaged_weights_are_refused(broken, tmp_path):
    folder = broken()
    path = tmp_path / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        Embedder.load(folder)


def test_a_missing_model_lists_those_there_are():
    with pytest.raises(ModelError, match="unifex-lite"):
        find_model("nowhere")
    assert [config.name for config in list_models()] == BUNDLED


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_a_model_is_told_or_changes_nothing(tmp_path, name):
    folder = BUNDLED_MODELS / DEFAULT_MODEL
    neck, rng = read_neck(folder), random.Random(name)
    whole = (folder / name).read_bytes()
    for number in range(12):
        copy = Path(shutil.copytree(folder, tmp_path / str(number)))
        place = rng.randrange(len(whole))
        (copy / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :])
        try:
            found = read_neck(copy)
        except ModelError:
            continue
        assert (found.hash, found.dims, found.kind) == (neck.hash, neck.dims, neck.kind)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [({"256": {"mmp5": 0.8}}, 0.8), ({"256": 0.8}, None), ({"256": {"mmp5": "good"}}, None), ({}, None)],
)
def test_what_a_model_says_of_its_score(embedder, scores, expected):
    assert replace(embedder.config, scores=scores).score(256) == expected
