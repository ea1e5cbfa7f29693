"""Several processes train the neck that one trains; features on disk train as well as features in memory."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import forked
from tests.support.galleries import run_index
from tests.support.serving import ROOT, free_port
from tests.support.training import SMALL, last, nearest_right, samples
from unifex.cli.main import main
from unifex.gallery.gallery import Gallery
from unifex.models.embedder import Embedder
from unifex.models.feature_table import FeatureTable
from unifex.models.neck import pca
from unifex.training import distributed
from unifex.training.config import LOSSES
from unifex.training.loop import fit
from unifex.training.samples import Blocks, Sampler, Samples

RECIPES = {name: replace(SMALL, loss=name, batch_size=19) for name in LOSSES}  # 96 samples: the last batch has one
RECIPES |= {
    "distilled": replace(SMALL, distillation=20, batch_size=19), "sam": replace(SMALL, optimiser="sam"),
    "dropped out": replace(SMALL, dropout=0.3, init="random"), "by class": replace(SMALL, sampling="classes"),
}  # fmt: skip


def train_all(out: Path) -> None:
    """Every recipe's neck and loss, by as many processes as there are; written by each of them."""
    torch.set_num_threads(1)
    found = {}
    with distributed.init() as processes:
        for name, config in RECIPES.items():
            epoch = last(fit(samples(augmented=2), config, processes=processes))
            found |= {f"{name} neck": epoch.neck.weight, f"{name} loss": epoch.loss}
    np.savez(out / f"{processes.rank} of {processes.count}.npz", **found)


def two_processes(*arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """The same program twice, as torchrun starts it."""
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    ranks = [shared | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    return forked.run_together([arguments] * 2, ranks)


@pytest.fixture(scope="module")
def necks(tmp_path_factory) -> dict[str, dict]:
    """What one process finds, and each of two."""
    out = tmp_path_factory.mktemp("necks")
    train_all(out)
    for done in two_processes("-m", "tests.test_distributed", str(out)):
        assert done.returncode == 0, done.stderr
    return {path.stem: dict(np.load(path)) for path in out.glob("*.npz")}


@pytest.mark.parametrize("name", RECIPES)
def test_as_one_process_does(necks, name):
    alone = necks["0 of 1"]
    assert len(necks) == 3
    for who, found in necks.items():
        assert np.abs(found[f"{name} neck"] - alone[f"{name} neck"]).max() <= 1e-4, who
        assert found[f"{name} loss"] == pytest.approx(alone[f"{name} loss"], rel=1e-4), who


@pytest.mark.slow
def test_torchrun_on_a_gallery(folder, embedder, tmp_path, monkeypatch):
    """By the command of docs/scale.md, in its folder."""
    run_index(Gallery.create(tmp_path / "indexes" / "far", embedder), folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (line,) = re.findall(r"^    torchrun (.*)$", (ROOT / "docs" / "scale.md").read_text(), re.M)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", *line.split()]
    done = subprocess.run([*launch, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == "taught"
    train = ["train", "--gallery", "far", "--preset", "quick"]
    assert main([*train, "--save", "one"]) == 0
    one, two = (Embedder.load(name, models=tmp_path / "indexes" / "models").neck for name in ("one", "taught"))
    assert np.abs(one.weight - two.weight).max() <= 1e-4
    ended = two_processes("-m", "unifex", *train, "--save", "three", "--finish")
    assert ended[0].returncode == 1  # and the second waits for nothing
    assert "no stopped training 'three'" in ended[0].stderr


# --- features on disk ----------------------------------------------------------------------------------------------


def table_of(features: np.ndarray, folder: Path, rows: int = 50) -> FeatureTable:
    """The same on disk, in shards of so many rows."""
    for number, start in enumerate(range(0, len(features), rows)):
        np.save(folder / f"{number}.npy", features[start : start + rows])
    places = np.arange(len(features))
    load = lambda shard: np.load(folder / f"{shard}.npy", mmap_mode="r")  # noqa: E731
    return FeatureTable(places // rows, places % rows, features.shape[1], load, "x")


def test_a_table_is_read_as_an_array_is(tmp_path):
    features = np.random.default_rng(0).standard_normal((230, 6)).astype(np.float16)
    table = table_of(features, tmp_path)
    assert table.shape == features.shape
    rows = np.array([229, 3, 3, 120])
    assert np.array_equal(table[rows], features[rows])
    assert np.array_equal(table[10:60], features[10:60])
    assert np.array_equal(table.part(rows)[:], features[rows])
    assert table.part(rows).fingerprint != table.part(rows[::-1]).fingerprint


def test_principal_axes_of_a_table(tmp_path):
    features = np.random.default_rng(0).standard_normal((230, 6)).astype(np.float16)
    expected = pca(features, (4,))
    found = pca(table_of(features, tmp_path), (4,), block_rows=64)
    assert np.allclose(found.weight, expected.weight, atol=1e-5)
    assert np.allclose(found.bias, expected.bias, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(0, 5), st.integers(1, 40), st.integers(1, 4))
def test_from_disk_every_row_comes_once_and_windows_are_whole_blocks(count, seed, rows, blocks):
    zeros = np.zeros(count, np.int64)
    table = FeatureTable(zeros, np.arange(count), 4, load=lambda shard: None, fingerprint="")
    on_disk = Samples(table, zeros, zeros, blocks=Blocks(rows, blocks))
    order = Sampler(on_disk, SMALL, torch.Generator().manual_seed(seed)).draw().numpy()
    assert np.array_equal(np.sort(order), np.arange(count))
    for start in range(0, count, rows * blocks):
        touched = np.unique(order[start : start + rows * blocks] // rows)
        assert len(touched) <= blocks + 1  # one more where the last, shorter block is among them


@pytest.mark.parametrize("init", ["pca", "random"])
def test_training_from_disk_learns_as_much(tmp_path, init):
    data, config = samples(), replace(SMALL, epochs=30, init=init)
    on_disk = replace(data, features=table_of(data.features, tmp_path, 20), blocks=Blocks(rows=16))
    here, there = (nearest_right(last(fit(one, config)).neck, data, 8) for one in (data, on_disk))
    assert there >= here - 0.05
    whole = last(fit(on_disk, config)).neck
    next(fit(on_disk, config, checkpoint=tmp_path / "c.pt"))
    assert np.array_equal(last(fit(on_disk, config, checkpoint=tmp_path / "c.pt")).neck.weight, whole.weight)


def test_a_gallery_trained_from_disk(gallery, capsys):
    where = ["--gallery", gallery.name, "--library", str(gallery.folder.parent), "--epochs", "3"]
    assert main(["train", *where, "--save", "m", "--preset", "quick", "--from-disk", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == "m"
    assert main(["train", *where, "--save", "n", "--preset", "quick", "--augmentations", "2", "--from-disk"]) == 1
    assert "ask for none of them (here: --augmentations 0)" in capsys.readouterr().err


if __name__ == "__main__":
    train_all(Path(sys.argv[1]))
