"""Exported files, run without this program, against the app's own embeddings on real photographs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import tiny_clip
from tests.support.serving import ROOT
from unifex.cli.main import main
from unifex.core.preprocessing import Preprocessing
from unifex.models.embedder import Embedder, ModelError
from unifex.models.export import export, fitting
from unifex.models.neck import DimensionError


def batch(image) -> np.ndarray:
    return np.asarray(image, np.float32).transpose(2, 0, 1)[None]


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [224, 97])
def test_images_are_fitted_as_pillow_does(fit, interpolation, size, photographs):
    prep = Preprocessing(size, (0, 0, 0), (1, 1, 1), fit, interpolation, 0.9 if fit == "crop" else 1.0, (9, 90, 190))
    module = fitting(prep)
    small, flat = photographs[0].resize((60, 45)), photographs[1].resize((224, 50))
    for image in [*photographs, small, flat, flat.transpose(2), photographs[2].resize((2011, 1507))]:
        expected = prep.to_input(image).astype(float)
        found = module(torch.from_numpy(batch(image)))[0].permute(1, 2, 0).numpy()
        difference = np.abs(found - expected)
        assert difference.max() <= 3  # of 255
        assert difference.mean() < 0.3  # the mean of boxes is rounded, too


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Embedder:
    """A transformer, which crops and squashes differently from the bundled network."""
    folder = tiny_clip.write(tmp_path_factory.mktemp("export") / "tiny")
    return Embedder.load(f"raw:local-dir:{folder}")


def run_torchscript(path, image) -> np.ndarray:
    with torch.inference_mode():
        return torch.jit.load(path)(torch.from_numpy(batch(image))).numpy()


def run_onnx(path, image) -> np.ndarray:
    import onnxruntime

    return onnxruntime.InferenceSession(path).run(None, {"images": batch(image)})[0]


RUN = {"torchscript": run_torchscript, "onnx": run_onnx}


@pytest.mark.parametrize("format", RUN)
@pytest.mark.parametrize("dim", [64, 256])
def test_the_bundled_model_leaves_the_house_unchanged(format, dim, embedder, photographs, tmp_path):
    made = export(embedder, format, tmp_path / "model", dim)
    assert made.cosine > 0.999
    expected = embedder.embed(photographs, dim)
    found = np.concatenate([RUN[format](made.path, image) for image in photographs])
    assert found.shape == (5, dim)
    assert (found * expected).sum(1).min() > 0.999
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("format", RUN)
def test_transformers_and_batches_too(format, tiny, photographs, tmp_path):
    made = export(tiny, format, tmp_path / "model")
    assert made.dim == tiny_clip.DIM  # it has no 64-d
    expected = tiny.embed(photographs)
    found = np.concatenate([RUN[format](made.path, image) for image in photographs])
    assert (found * expected).sum(1).min() > 0.999


def test_a_submission_runs_without_this_program(embedder, photographs, tmp_path):
    """As the challenge calls it: uint8 or float images, one or several, from a process that knows only torch."""
    made = export(embedder, "torchscript", tmp_path / "submission.pt")
    pixels = np.stack([np.asarray(image.resize((300, 200))) for image in photographs]).transpose(0, 3, 1, 2)
    np.save(tmp_path / "pixels.npy", pixels)
    code = """
import sys, numpy as np, torch
model = torch.jit.load("submission.pt").eval()
pixels = torch.from_numpy(np.load("pixels.npy"))
np.save("found.npy", model(pixels).numpy())
np.save("alone.npy", model(pixels[:1].float()).numpy())
assert not [name for name in sys.modules if name.startswith("unifex")]
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, check=True, timeout=120)
    found, alone = np.load(tmp_path / "found.npy"), np.load(tmp_path / "alone.npy")
    assert found.shape == (5, 64)
    assert np.abs(found[:1] - alone).max() < 1e-4
    expected = embedder.embed([image.resize((300, 200)) for image in photographs], 64)
    assert (found * expected).sum(1).min() > 0.999
    assert made.bytes == (tmp_path / "submission.pt").stat().st_size


def test_a_folder_is_a_model_again(embedder, photographs, tmp_path, monkeypatch):
    made = export(embedder, "safetensors", tmp_path / "model")
    assert np.array_equal(Embedder.load(made.path).embed(photographs, 512), embedder.embed(photographs, 512))
    monkeypatch.chdir(tmp_path)
    again = export(embedder, "safetensors", Path()).path
    assert {"config.json", "model.safetensors"} <= {path.name for path in Path(again).iterdir()}


def test_what_cannot_be_exported_says_so(embedder, tmp_path):
    with pytest.raises(ModelError, match="no format 'tflite'; there are: torchscript, onnx, safetensors"):
        export(embedder, "tflite", tmp_path / "model")
    with pytest.raises(DimensionError, match="no 99-d"):
        export(embedder, "onnx", tmp_path / "model", 99)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("format", RUN)
def test_a_full_disk_is_said_and_leaves_nothing(format, tmp_path):
    """In a process of its own: torch's own writing of a file ends it."""
    command = [sys.executable, "-m", "unifex", "export", "--format", format, "--out", "/dev/full"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "the disk is full" in done.stderr) == (1, True), done


def test_what_is_there_is_replaced_only_when_that_is_said(embedder, tmp_path, capsys):
    model, file = tmp_path / "model", tmp_path / "model.pt"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "notes.txt").write_text("mine")
    file.write_bytes(b"somebody's")
    for out in (model, file):
        assert main(["export", "--out", str(out)]) == 1
        assert "is there already; name another, or --replace it" in capsys.readouterr().err
    assert (json.loads((model / "config.json").read_bytes()), file.read_bytes()) == ({}, b"somebody's")
    for out in (model, file):
        assert main(["export", "--out", str(out), "--replace"]) == 0
    assert Embedder.load(str(model)).neck.hash == embedder.neck.hash
    assert (model / "notes.txt").read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == [model, file]


@pytest.mark.parametrize(("name", "right"), [("m.pth", "m"), ("m.safetensors", "m"), ("m.txt", "m")])
def test_a_name_of_a_file_is_no_folders(name, right, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--out", name]) == 2
    assert f"a folder: call it {right}" in capsys.readouterr().err
    assert main(["export", "--format", "torchscript", "--out", "."]) == 1
    assert "torchscript is a file, and '.' is not" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_gives_something_else_is_not_passed_off(embedder, tmp_path, monkeypatch):
    from unifex.models import export as module

    wrong = lambda *_: lambda images: np.eye(1, 64, dtype=np.float32).repeat(len(images), 0)  # noqa: E731
    monkeypatch.setitem(module.FORMATS, "onnx", wrong)
    with pytest.raises(ModelError, match="other embeddings than the app"):
        export(embedder, "onnx", tmp_path / "model.onnx")


def test_the_command(tmp_path, capsys):
    out = tmp_path / "m.pt"
    assert main(["export", "--out", str(out), "--json"]) == 0  # its name says the format
    answer = json.loads(capsys.readouterr().out)
    assert (answer["dim"], answer["path"], answer["cosine"] > 0.999) == (64, str(out), True)
    assert answer["format"] == "torchscript"
    torch.jit.load(out)
    assert main(["export", "--out", str(tmp_path / "model"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "safetensors"
