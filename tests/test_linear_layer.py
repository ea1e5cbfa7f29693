"""Linear layers of others, taken in as necks."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support.drawing import picture
from tests.support.trap import trap
from unifex.cli.main import main
from unifex.models.embedder import Embedder
from unifex.models.linear_layer import LayerError, import_layer, read_layer

WIDTH, DIM = 1600, 48


@pytest.fixture(scope="module")
def layer() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(WIDTH, DIM)


def _by_torch(layer: torch.nn.Linear, path: Path) -> Path:
    torch.save(
        {"epoch": 3, "state_dict": {f"head.{name}": tensor for name, tensor in layer.state_dict().items()}}, path
    )
    return path


def _by_safetensors(layer: torch.nn.Linear, path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in layer.state_dict().items()}, path)
    return path


def _as_ilias(layer: torch.nn.Linear, path: Path) -> Path:
    """The state dict of a module that holds the layer as ``layer``."""
    torch.save({f"layer.{name}": tensor for name, tensor in layer.state_dict().items()}, path)
    return path


def _with_an_optimiser(layer: torch.nn.Linear, path: Path) -> Path:
    optimiser = torch.optim.Adam(layer.parameters()).state_dict()
    torch.save({"step": torch.tensor(3), "optimizer": optimiser, "model": dict(layer.named_parameters())}, path)
    return path


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (_by_torch, "layer.pth"),
        (_as_ilias, "vit_large_patch16_siglip_384.webli.pth"),
        (_with_an_optimiser, "checkpoint.pt"),
        (_by_safetensors, "layer.safetensors"),
    ],
)
def test_a_layer_becomes_a_model(layer, tmp_path, capsys, write, name):
    where = ["--library", str(tmp_path / "indexes"), "--json"]
    file = write(layer, tmp_path / name)
    assert main(["import", str(file), "--save", "theirs", "--backbone", "lite0", *where]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["model"], answer["backbone"], answer["dim"]) == ("theirs", "lite0", DIM)
    model = Embedder.load("theirs", models=tmp_path / "indexes" / "models")
    features = Embedder.raw("lite0").features([picture("shapes/disc", 0)])
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(layer(torch.from_numpy(features))).numpy()
    np.testing.assert_allclose(model.embed([picture("shapes/disc", 0)]), expected, atol=1e-5)


def test_a_layer_for_the_features_of_a_model_stands_on_its_adapted_backbone(layer, tmp_path, capsys):
    """Which is not called as the plain one is."""
    where = ["--library", str(tmp_path / "indexes"), "--json"]
    file = _by_safetensors(layer, tmp_path / "layer.safetensors")
    assert main(["import", str(file), "--save", "theirs", "--backbone", "unifex-lite-4", *where]) == 0
    adapted, plain = Embedder.load("unifex-lite-4"), Embedder.raw("lite0")
    model = Embedder.load("theirs", models=tmp_path / "indexes" / "models")
    assert model.backbone.weight_hash() == adapted.backbone.weight_hash() != plain.backbone.weight_hash()
    with torch.inference_mode():
        features = torch.from_numpy(adapted.features([picture("shapes/disc", 0)]))
        expected = torch.nn.functional.normalize(layer(features)).numpy()
    np.testing.assert_allclose(model.embed([picture("shapes/disc", 0)]), expected, atol=1e-5)
    assert ("'lite0, adapted'" in repr(model), "'lite0'" in repr(plain)) == (True, True)
    capsys.readouterr()
    assert main(["import", str(file), "--save", "x", "--backbone", "nosuch", *where[:-1]]) == 1
    assert "no backbone 'nosuch'" in capsys.readouterr().err


def test_a_layer_without_a_bias(tmp_path):
    save_file({"weight": torch.ones(2, 3).half()}, tmp_path / "a.safetensors")
    weight, bias = read_layer(tmp_path / "a.safetensors")
    assert (weight.tolist(), bias.tolist()) == ([[1, 1, 1]] * 2, [0, 0])


def test_a_matrix_alone_is_a_layer(tmp_path):
    torch.save(torch.nn.Linear(3, 2).weight, tmp_path / "a.pth")
    weight, bias = read_layer(tmp_path / "a.pth")
    assert (weight.shape, bias.tolist()) == ((2, 3), [0, 0])


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"weight": torch.ones(4, 7)}, "a layer for 7 features, backbone 'lite0' gives 1600"),
        ({"a": torch.ones(4, WIDTH), "b": torch.ones(4, 4)}, "2 matrices"),
        ({"bias": torch.ones(4)}, "0 matrices"),
        ({"weight": torch.ones(4, WIDTH), "mean": torch.ones(WIDTH)}, "more than a weight and its bias"),
        ({"weight": torch.full((4, WIDTH), torch.nan)}, "not finite"),
    ],
)
def test_what_is_no_layer_of_this_backbone_is_refused(tmp_path, tensors, sentence):
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(LayerError, match=sentence):
        import_layer(tmp_path / "x.safetensors", "x", tmp_path / "models", "lite0")
    assert not (tmp_path / "models" / "x").exists()


@pytest.mark.parametrize("content", [3, {"a": 3}, {"a": {"b": [3]}}, None])
def test_a_file_without_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(LayerError, match=r"0 matrices \(no tensors\)"):
        read_layer(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        ("x.pth", lambda file: torch.save(torch.nn.Linear(3, 2), file), "a whole pickled module does; save its state"),
        ("x.pth", lambda file: torch.jit.script(torch.nn.Linear(3, 2)).save(file), "is TorchScript; save the layer's"),
        ("x.pth", lambda file: file.write_bytes(b"hello world"), "damaged, or of another kind"),
        ("x.pth", lambda file: file.write_bytes(b""), "damaged, or of another kind"),
        ("x.safetensors", lambda file: file.write_bytes(b"hello world"), "damaged, or no safetensors"),
        ("x.pth", lambda file: None, "No such file|not there"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_tensors_is_told_in_own_words(tmp_path, name, write, why):
    write(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(LayerError, match=why) as told:
            read_layer(tmp_path / name)
    assert not any(odd in str(told.value) for odd in ("only load failed", "\n", "\x1b"))


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_file_that_wants_to_run_code_is_not_let(tmp_path, name):
    (tmp_path / name).write_bytes(trap(tmp_path / "sprung"))
    with pytest.raises(LayerError, match="cannot be read as a file of tensors"):
        read_layer(tmp_path / name)
    assert not (tmp_path / "sprung").exists()
