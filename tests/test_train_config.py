"""Recipes: ranges, presets, and the public code's YAML."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from unifex.models.neck import Neck
from unifex.training.config import LOSSES, PRESETS, SETTINGS, TrainConfig, TrainConfigError
from unifex.training.public_config import read_public_yaml
from unifex.ui.components.train_form import ADVANCED, GROUPS, config_of, settings_as_shown

PUBLISHED = """
MODEL:
  name: "siglip-sovit400m_arcface3_m4d-35k"
  embedding_dim: 64
  BACKBONE: {output_dim: 1152, freeze_backbone: True, type: "siglip"}
  NECK: {neck_type: "proj_layer", dropout: 0.2}
  HEAD: {name: "ArcFace", k: 3, s: 30.0, m: 0.5, m_max: 0.0, m_min: 0.0}
DATALOADER: {batch_size: 128, num_workers: 8}
TRAIN: {epoch_based: True, epochs: 10, iterations: 0}
OPTIMIZER: {name: "Adam", lr: 2e-2, weight_decay: 1e-4, momentum: 0.0}
SCHEDULER: {epoch_based: False, name: "cosine", warmup: "linear", warmup_steps: 1, min_lr: 1e-3}
"""


def read(tmp_path, text: str) -> TrainConfig:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return read_public_yaml(path)


def test_the_papers_configuration_is_the_default_recipe(tmp_path):
    assert replace(read(tmp_path, PUBLISHED), seed=0, min_images=2) == TrainConfig() == PRESETS["paper"].config


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("name: ArcFace, k: 1, m: 0.4", {"loss": "arcface", "margin": 0.4, "sub_centres": 1}),
        ("name: ArcFace, k: 5", {"loss": "subcentre-arcface", "sub_centres": 5}),
        (
            "name: DynM-ArcFace, m_max: 0.6, m_min: 0.1",
            {"loss": "dynamic-arcface", "margin": 0.6, "margin_min": 0.1},
        ),
        ("name: AdaCos, dynamic_s: True", {"loss": "adacos"}),
        ("name: AdaCos, dynamic_s: False", {"loss": "adacos-fixed"}),
        ("name: LiArcFace", {"loss": "li-arcface"}),
        ("name: CurricularFace", {"loss": "curricularface"}),
        ("name: AdaFace", {"loss": "adaface"}),
    ],
)
def test_heads_of_the_public_code(tmp_path, head, expected):
    config = read(tmp_path, f"MODEL: {{HEAD: {{{head}}}}}")
    assert {name: getattr(config, name) for name in expected} == expected


def test_iterations_optimisers_and_warmup_are_carried_over(tmp_path):
    config = read(
        tmp_path,
        "MODEL: {}\nTRAIN: {epoch_based: False, iterations: 700}\nOPTIMIZER: {name: SAM_AdamW, lr: 1e-2}\n"
        "SCHEDULER: {warmup: exponential, min_lr: 1e-3}\nSEED: 7",
    )
    assert (config.iterations, config.optimiser, config.warmup, config.seed) == (700, "sam", "exponential", 7)
    assert config.final_lr_scale == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- a list", "no MODEL section"),
        ("MODEL: [", "recipe.yaml"),
        ("MODEL: {HEAD: {name: Triplet}}", "MODEL.HEAD.name 'Triplet' cannot be carried over; known: ArcFace"),
        ("MODEL: {NECK: {neck_type: pooling}}", "nothing to train"),
        ("MODEL: {HEAD: {m: 9}}", "margin 9.0 is not between 0 and 2"),
        ("MODEL: {embedding_dim: wide}", "recipe.yaml"),
    ],
)
def test_what_cannot_be_carried_over_is_refused(tmp_path, text, why):
    with pytest.raises(TrainConfigError, match=why):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TrainConfigError, match="nowhere"):
        read_public_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"loss": "triplet"}, "loss 'triplet' is not known; there are: arcface"),
        ({"epochs": 0}, "epochs 0 is not between 1 and 1000"),
        ({"dims": ()}, "must ascend"),
        ({"dims": (128, 64)}, "must ascend"),
        ({"dims": (1,)}, "dims 1 is not between"),
        ({"dropout": float("nan")}, "dropout nan is not between"),
    ],
)
def test_values_out_of_range_are_refused(values, why):
    with pytest.raises(TrainConfigError, match=why):
        TrainConfig(**values)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_the_same_in_python_as_on_the_command_line(loss):
    config = TrainConfig(loss=loss)
    assert config == TrainConfig().updated({"loss": loss})
    assert (config.margin, config.sub_centres) == (LOSSES[loss].margin, LOSSES[loss].sub_centres)
    assert TrainConfig(loss=loss, margin=0.11, sub_centres=2).updated({"epochs": "3"}).margin == 0.11


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"dims": [64, 128]}, (64, 128)),
        ({"dims": 64}, (64,)),
        ({"dims": (64.0,)}, (64,)),
        ({"batch_size": 64.0}, 64),
        ({"seed": np.int64(3)}, 3),
        ({"learning_rate": np.float32(0.5)}, 0.5),
    ],
)
def test_numbers_are_kept_as_files_have_them(given, kept):
    config = TrainConfig(**given)
    assert [getattr(config, name) for name in given] == [kept]
    assert TrainConfig.from_json(json.loads(json.dumps(config.as_json()))) == config


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"epochs": "3"}, "epochs takes a whole number, not '3'"),
        ({"epochs": 2.5}, "epochs takes a whole number, not 2.5"),
        ({"seed": 1.5}, "seed takes a whole number, not 1.5"),
        ({"epochs": None}, "epochs takes a whole number, not None"),
        ({"margin": "wide"}, "margin takes a number, not 'wide'"),
        ({"dims": "64"}, "dims takes whole numbers, not '64'"),
        ({"loss": ["arcface"]}, "loss takes a word, not"),
    ],
)
def test_what_is_no_number_is_refused(given, why):
    with pytest.raises(TrainConfigError, match=why):
        TrainConfig(**given)


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(pull=1.1),
        replace(PRESETS["best"].config, pull=1.1),
        PRESETS["best"].config.updated({"pull": "1.1"}),
        TrainConfig(pull=1.1, distillation=0),
    ],
)
def test_one_exact_step_holds_what_is_not_taught(config):
    assert config.distillation == PRESETS["few"].config.distillation == 2.0


def test_settings_are_read_from_text():
    said = {"dims": "64, 128", "epochs": "3", "loss": "subcentre-arcface", "start": "pca"}
    assert TrainConfig().updated(said) == TrainConfig(dims=(64, 128), epochs=3, init="pca")
    with pytest.raises(TrainConfigError, match="learning_rate 'fast' is not a number"):
        TrainConfig().updated({"learning_rate": "fast"})


def test_the_page_calls_settings_as_its_form_does():
    def entered(**values: object) -> list[object]:
        return [values.get(key, getattr(best, setting.name)) for key, setting in ADVANCED.items()]

    best = PRESETS["best"].config
    dims = {"dims": "64, 128"}
    assert config_of(["arcface", *entered(**dims)]).dims == (64, 128)
    for values, why in (
        (dims | {"dropout": 3}, "Dropout 3.0 is not between 0 and 0.95"),
        (dims | {"views": None}, "Crops and mirror images '' is not a number"),
        ({"dims": "128, 64"}, "Sizes of embeddings '128, 64' must ascend"),
        (dims | {"pull": 1, "backbone_rate": 0.1},
         "set 'Pull to the middle' or 'Learning rate of the backbone' to 0"),
    ):  # fmt: skip
        with pytest.raises(TrainConfigError, match=re.escape(why)):
            config_of(["arcface", *entered(**values)])
    with pytest.raises(TrainConfigError) as refused:
        TrainConfig(pull=1.0, loss="cosface", epochs=50).check_used()
    told = r"Loss, Rounds over all images: .*set 'Pull to the middle' to 0"
    with pytest.raises(TrainConfigError, match=told), settings_as_shown():
        raise refused.value


def test_a_loss_brings_its_margin_and_sub_centres():
    best = PRESETS["best"].config
    assert best.updated({"loss": "subcentre-arcface"}) == replace(best, loss="subcentre-arcface", sub_centres=3)
    assert best.updated({"loss": "cosface"}) == replace(best, loss="cosface", margin=0.35)
    assert best.updated({"loss": "cosface", "margin": "0.2"}) == replace(best, loss="cosface", margin=0.2)
    assert replace(best, margin=0.3).updated({"loss": "arcface"}).margin == 0.3


@pytest.mark.parametrize(
    ("config", "asked", "why"),
    [
        (PRESETS["few"].config, ["epochs", "loss"], "loss, epochs: one exact step does not use this"),
        (PRESETS["best"].config, ["late_blocks"], "late_blocks: this is of late blocks"),
        (PRESETS["best"].config, ["smallest_margin"], "margin_min: this changes nothing"),
        (TrainConfig(loss="softmax"), ["margin"], "margin: this changes nothing"),
        (TrainConfig(pull=1.0, loss="cosface", epochs=50), None, "loss, epochs: one exact step"),
        (TrainConfig(interpolation=0.5, late_blocks=3), None, "late_blocks, interpolation: this is of late blocks"),
    ],
)
def test_what_changes_nothing_is_refused(config, asked, why):
    with pytest.raises(TrainConfigError, match=why):
        config.check_used(asked)


def test_presets_and_what_they_use_are_taken():
    for preset in PRESETS.values():
        preset.config.check_used()
        preset.config.check_used(preset.config.used)
    replace(PRESETS["best"].config, pull=1.0).check_used()
    with pytest.raises(TrainConfigError, match="neck_interpolation: this changes nothing"):
        replace(PRESETS["paper"].config, neck_interpolation=0.1).check_used(["neck_interpolation"])
    assert "neck_interpolation" not in PRESETS["paper"].config.used


def test_the_start_that_is_taken_is_the_recipes():
    best, short = PRESETS["best"].config, neck_of(64)
    assert best.going_out_from(short).init == "pca"
    assert replace(best, dims=(32, 64)).going_out_from(short).init == "current"
    assert PRESETS["few"].config.going_out_from(short).init == "current"
    assert replace(best, dims=(64,)).going_out_from(neck_of(64, "identity")).init == "pca"


def neck_of(dim: int, kind: str = "linear") -> Neck:
    return Neck(kind, np.eye(dim, dtype=np.float32), np.zeros(dim, np.float32), (dim,))


def test_files_keep_the_words_that_they_began_with():
    config = TrainConfig(init="pca", margin_min=0.1, final_lr_scale=0.5, augmentations=2, dims=(8, 16))
    kept = json.loads(json.dumps(config.as_json()))
    assert (kept["start"], kept["smallest_margin"], kept["final_share"], kept["views"]) == ("pca", 0.1, 0.5, 2)
    assert TrainConfig.from_json(kept) == config


def test_every_setting_and_preset_explains_itself():
    assert all(preset.advice for preset in PRESETS.values())
    assert all(setting.metadata["help"] for setting in SETTINGS.values())


def test_every_setting_has_a_plain_name_and_a_sentence_on_the_page_once():
    grouped = [key for keys in GROUPS.values() for key in keys]
    assert sorted(grouped) == sorted(set(SETTINGS) - {"loss"})
    assert all(name and sentence.endswith(".") for keys in GROUPS.values() for name, sentence in keys.values())


@pytest.mark.parametrize(
    ("width", "dims"),
    [(1600, (64, 128, 256, 512)), (512, (64, 128, 256, 512)), (384, (64, 128, 256, 384)), (50, (50,))],
)
def test_no_embedding_is_longer_than_the_features(width, dims):
    config = PRESETS["best"].config
    assert config.fitting(width) == replace(config, dims=dims)
    assert PRESETS["paper"].config.fitting(width) == PRESETS["paper"].config  # starts at random: any length will do
