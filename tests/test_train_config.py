"""Recipes: ranges, presets, and the public code's YAML."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from unifex.training.config import (
    DEFAULT_MARGIN,
    LOSS_MARGINS,
    PRESET_ADVICE,
    PRESETS,
    RecipeError,
    TrainConfig,
    read_public_yaml,
    setting_from_text,
)

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
    assert replace(read(tmp_path, PUBLISHED), seed=0, min_images=2) == TrainConfig() == PRESETS["paper"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("name: ArcFace, k: 1, m: 0.4", {"loss": "arcface", "margin": 0.4, "sub_centres": 1}),
        ("name: ArcFace, k: 5", {"loss": "subcentre-arcface", "sub_centres": 5}),
        (
            "name: DynM-ArcFace, m_max: 0.6, m_min: 0.1",
            {"loss": "dynamic-arcface", "margin": 0.6, "smallest_margin": 0.1},
        ),
        ("name: AdaCos, dynamic_s: True", {"loss": "adacos"}),
        ("name: AdaCos, dynamic_s: False", {"loss": "adacos-fixed"}),
        ("name: LiArcFace", {"loss": "li-arcface"}),
        ("name: CurricularFace", {"loss": "curricularface"}),
        ("name: AdaFace", {"loss": "adaface"}),
    ],
)
def test_heads_of_the_public_code(tmp_path, head, expected):
    recipe = read(tmp_path, f"MODEL: {{HEAD: {{{head}}}}}")
    assert {name: getattr(recipe, name) for name in expected} == expected


def test_iterations_optimisers_and_warmup_are_carried_over(tmp_path):
    recipe = read(
        tmp_path,
        "MODEL: {}\nTRAIN: {epoch_based: False, iterations: 700}\nOPTIMIZER: {name: SAM_AdamW, lr: 1e-2}\n"
        "SCHEDULER: {warmup: exponential, min_lr: 1e-3}\nSEED: 7",
    )
    assert (recipe.iterations, recipe.optimiser, recipe.warmup, recipe.seed) == (700, "sam", "exponential", 7)
    assert recipe.final_share == pytest.approx(0.1)


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
    with pytest.raises(RecipeError, match=why):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="nowhere"):
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
    with pytest.raises(RecipeError, match=why):
        TrainConfig(**values)


def test_settings_are_read_from_text():
    assert setting_from_text("dims", "64, 128") == (64, 128)
    assert setting_from_text("epochs", "3") == 3
    assert setting_from_text("loss", "cosface") == "cosface"
    with pytest.raises(RecipeError, match="learning rate 'fast' is not a number"):
        setting_from_text("learning_rate", "fast")


def test_margins_are_those_of_the_losses():
    from unifex.training.losses import LOSSES

    own = {name: loss.margin for name, loss in LOSSES.items() if loss.margin}
    assert own == {name: LOSS_MARGINS.get(name, DEFAULT_MARGIN) for name in own}


def test_every_setting_and_preset_explains_itself():
    assert list(PRESETS) == list(PRESET_ADVICE)
    assert all(setting.metadata["help"] for setting in fields(TrainConfig))
