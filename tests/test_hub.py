"""Backbones from the hub: the real client against a hub on loopback, in processes of their own, as users run it."""

import hashlib
import json
import os
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from benchmarks.published_layouts import Walk
from tests.support import drawing, forked, published, stub_hub, tiny_clip
from unifex.models import hub, zoo

REPO = "someone/tiny"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    tiny_clip.write(root / REPO)
    with stub_hub.running(root) as running:
        yield running


@pytest.fixture
def unifex(server, tmp_path):
    """Runs ``python -m unifex`` with a fresh cache against the stub hub: (exit code, JSON or None, stderr)."""

    def run(*arguments: str, **environment: str):
        env = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        env |= {"UNIFEX_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
        command = ["-m", "unifex", *arguments, "--library", str(tmp_path / "indexes"), "--json"]
        done = forked.run(*command, environment=env)
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    return run


def test_a_backbone_is_fetched_once_and_then_serves_offline(unifex, server, tmp_path):
    name = f"hf-hub:{REPO}"
    pictures = drawing.write_folder(tmp_path / "pictures")
    code, _, said = unifex("index", str(pictures), "--gallery", "tiny", "--model", f"raw:{name}")
    assert code == 1
    assert f"python -m unifex download {name}" in said
    code, answer, said = unifex("download", name)
    assert code == 0, said
    assert answer["bytes"] == (server.root / REPO / "open_clip_model.safetensors").stat().st_size
    server.requests.clear()
    offline = {"HF_HUB_OFFLINE": "1"}
    assert unifex("download", name, **offline)[0] == 0
    code, answer, said = unifex("index", str(pictures), "--gallery", "tiny", "--model", f"raw:{name}", **offline)
    assert (code, answer["items"]) == (0, 24), said
    query = str(next(pictures.rglob("*.png")))
    code, answer, _ = unifex("search", query, "--gallery", "tiny", **offline)
    assert answer["results"][0]["hits"][0]["score"] == pytest.approx(1, abs=1e-4)
    code, answer, _ = unifex("backbones", name, **offline)
    facts = answer["backbones"][0]
    assert (facts["features"], facts["here"], facts["words"]) == (tiny_clip.DIM, True, True)
    assert not server.requests


def test_the_hash_is_told_without_reading_gigabytes(unifex, server):
    """The cache names a file by its sha256; the features' fingerprint is that of a file read in full."""
    _, answer, _ = unifex("download", f"hf-hub:{REPO}")
    data = (server.root / REPO / "open_clip_model.safetensors").read_bytes()
    assert hub.sha256_of(Path(answer["path"])) == hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hf-hub:nobody/nothing", "nobody/nothing: there is no such repository"),
        ("hf-hub:someone/gated", "accept its licence at https://huggingface.co/someone/gated"),
        ("hf-hub:someone/empty", "does not have the file"),
        ("hf-hub:../../etc", "namespace/repo_name"),
    ],
)
def test_what_cannot_be_had_is_said(unifex, server, name, sentence):
    (server.root / "someone" / "empty").mkdir(exist_ok=True)
    server.gated = {"someone/gated"}
    code, _, said = unifex("download", name)
    assert code == 1
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_offline_it_fails_at_once_with_a_remedy(unifex, environment):
    began = time.monotonic()
    code, _, said = unifex("download", "open_clip:ViT-SO400M-14-SigLIP-384:webli", **environment)
    assert time.monotonic() - began < 5
    assert code == 1
    assert "ViT-SO400M-14-SigLIP-384" in said
    assert "unset" in said or "bundled model" in said


def test_who_puts_something_there_is_not_told_of_the_bundled_model(unifex):
    code, _, said = unifex("export", "--out", "hf:someone/thing", HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 1
    assert "someone/thing cannot be put on the hub, and 127.0.0.1 cannot be reached" in said
    assert "bundled" not in said


def test_a_model_and_a_gallery_go_to_the_hub_and_come_back(unifex, server, tmp_path):
    pictures = drawing.write_folder(tmp_path / "pictures")
    query = str(next(pictures.rglob("*.png")))
    signed = {"HF_TOKEN": "hf_test"}
    assert unifex("index", str(pictures), "--gallery", "drawn")[0] == 0
    code, answer, said = unifex("export", "--out", "hf:me/lite", "--public", **signed)
    assert code == 0, said
    assert answer["address"] == f"{server.url}/me/lite"
    assert sorted(path.name for path in (server.root / "me/lite").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    card = (server.root / "me/lite/README.md").read_text()
    assert "mMP@5" in card
    assert 'Embedder.from_pretrained("me/lite")' in card
    assert unifex("import", "hf:me/lite", "--save", "again")[0] == 0
    assert unifex("use", "drawn", "again")[0] == 0
    code, answer, said = unifex("pack", "drawn", "--out", "hf:me/gallery", **signed)
    assert (code, answer) == (0, {"gallery": "drawn", "address": f"{server.url}/datasets/me/gallery", "private": True})
    code, answer, said = unifex("unpack", "hf:me/gallery", "--gallery", "back")
    assert (code, answer["items"], answer["model"]) == (0, 24, "again"), said
    first, second = (unifex("search", query, "--gallery", name)[1]["results"][0]["hits"] for name in ("drawn", "back"))
    assert [(hit["path"], hit["score"]) for hit in first] == [(hit["path"], hit["score"]) for hit in second]


def test_what_has_changed_on_the_hub_is_fetched_and_offline_what_is_here_serves(unifex, server, tmp_path):
    signed = {"HF_TOKEN": "hf_test"}
    for count in (12, 24):
        pictures = drawing.write_folder(tmp_path / f"pictures{count}", views=count // 4)
        assert unifex("index", str(pictures), "--gallery", "growing")[0] == 0
        assert unifex("pack", "growing", "--out", "hf:me/growing", **signed)[0] == 0
        code, answer, said = unifex("unpack", "hf:me/growing", "--gallery", f"of {count}")
        assert code == 0, said
        items = unifex("galleries")[1]["galleries"]
        there = {gallery["name"]: gallery["items"] for gallery in items}
        assert there[f"of {count}"] == there["growing"]
    for name, away in (("offline", {"HF_HUB_OFFLINE": "1"}), ("away", {"HF_ENDPOINT": "http://127.0.0.1:9"})):
        code, answer, said = unifex("unpack", "hf:me/growing", "--gallery", name, **away)
        assert (code, answer["items"]) == (0, there["growing"]), said
    server.requests.clear()
    assert unifex("unpack", "hf:me/growing", "--gallery", "once more")[0] == 0
    assert not [path for method, path in server.requests if method == "GET" and "/resolve/" in path]


def test_a_data_set_that_is_put_there_again_keeps_nothing_of_before(unifex, server, tmp_path):
    """Whoever removed an item does not want it to stay on the hub; and private is what is private."""
    signed, repo = {"HF_TOKEN": "hf_test"}, server.root / "datasets/me/drawn"
    pictures = drawing.write_folder(tmp_path / "pictures")
    assert unifex("index", str(pictures), "--gallery", "drawn")[0] == 0
    (repo / "data").mkdir(parents=True)
    (repo / "data/query-00000.parquet").write_bytes(b"of items that are gone")
    (repo / "notes.txt").write_text("mine")
    put = ("export-gallery", "drawn", "--to", "dataset", "--out", "hf:me/drawn")
    server.requests.clear()
    code, _, said = unifex(*put, **signed)
    assert (code, "is there already and public" in said, "dataset" in said) == (1, True, False), said  # before all work
    assert [method for method, _ in server.requests] == ["GET"]
    code, _, said = unifex(*put, "--public", **signed)
    assert (code, "which no export put there" in said) == (1, True), said
    assert (repo / "data/query-00000.parquet").exists()
    (repo / ".unifex-export.json").write_text("{}")
    code, answer, said = unifex(*put, "--public", **signed)
    assert code == 0, said
    assert answer["path"] == f"{server.url}/datasets/me/drawn"
    assert "unifex-export-" not in said
    left = sorted(path.relative_to(repo).as_posix() for path in repo.rglob("*") if path.is_file())
    assert left == [".unifex-export.json", "README.md", "data/train-00000.parquet", "notes.txt"]


def test_data_sets_of_image_files_alone_and_in_a_zip(unifex, server, tmp_path):
    pictures = drawing.write_folder(tmp_path / "pictures")
    shutil.copytree(pictures / "shapes", server.root / "datasets/someone/files/train")
    packed = server.root / "datasets/someone/packed/data/train.zip"
    packed.parent.mkdir(parents=True)
    found = sorted(pictures.rglob("*.png"))
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            "metadata.csv", "file_name,label\n" + "".join(f"{one.parent.name}-{one.name},a\n" for one in found)
        )
        for one in found:
            archive.write(one, f"{one.parent.name}-{one.name}")
    code, answer, said = unifex("index", "hf:someone/files", "--gallery", "files")
    assert (code, answer["items"]) == (0, len([*pictures.glob("shapes/*/*.png")])), said
    code, answer, said = unifex("index", "hf:someone/packed", "--gallery", "packed")
    assert (code, answer["items"]) == (0, len(found)), said


def test_a_repository_that_the_hub_makes_private_by_itself_is_written_all_the_same(unifex, server):
    signed = {"HF_TOKEN": "hf_test"}
    server.makes_private = True
    code, _, said = unifex("export", "--out", "hf:me/forced", "--public", **signed)
    assert code == 0, said
    assert (server.root / "me/forced/config.json").is_file()
    code, _, said = unifex("export", "--out", "hf:me/forced", "--public", **signed)
    assert (code, "is there already and private" in said) == (1, True), said


def test_from_pretrained_fetches_the_backbone_too(unifex, server, tmp_path):
    """A neck on a backbone of the hub: one call brings both."""
    name = f"hf-hub:{REPO}"
    assert unifex("download", name)[0] == 0
    made = unifex("export", "--model", f"raw:{name}", "--out", str(tmp_path / "model"))
    assert made[0] == 0, made[2]
    (server.root / "me").mkdir(exist_ok=True)
    (tmp_path / "model").rename(server.root / "me" / "tiny-neck")
    code = """
from unifex.models.embedder import Embedder
from PIL import Image
print(Embedder.from_pretrained("me/tiny-neck").embed([Image.new("RGB", (40, 30), "red")]).shape)
"""
    env = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "new"), "HF_HUB_OFFLINE": "0"}
    done = forked.run("-c", code, environment=env)
    assert done.stdout.strip() == f"(1, {tiny_clip.DIM})", done.stderr


def test_pushing_without_a_token_says_how_to_get_one(unifex, server):
    server.closed = True
    try:
        code, _, said = unifex("export", "--out", "hf:me/lite", "--public")
    finally:
        server.closed = False
    assert code == 1
    assert "hf auth login" in said
    assert "Traceback" not in said


SPOKEN = """
import sys
from unifex.models import engines, zoo
for id in sys.argv[1:]:
    print(engines.load_text_tower(zoo.get(id)).embed(["a red disc", "A red disc!", "stripes"]).round(5).tolist())
"""


def test_words_are_read_by_the_tokenizer_that_a_model_names(unifex, server, tmp_path):
    """SigLIP 2's kind, whose words are not CLIP's: the files are another repository's, or lie in a user's folder."""
    text = {
        "context_length": 64, "vocab_size": 400, "width": 32, "heads": 2, "layers": 1, "no_causal_mask": True,
        "pool_type": "last", "hf_tokenizer_name": "someone/words", "tokenizer_kwargs": {"clean": "canonicalize"},
    }  # fmt: skip
    folder = tiny_clip.write(server.root / "someone/tiny-siglip", text=text)
    code, _, said = unifex("download", "hf-hub:someone/tiny-siglip")
    assert code == 1
    assert "the tokenizer someone/words cannot be had" in said
    (server.root / "someone/words").mkdir()
    published.write_gemma(server.root / "someone/words")
    assert unifex("download", "hf-hub:someone/tiny-siglip")[0] == 0
    bare, whole = (Path(shutil.copytree(folder, tmp_path / name)) for name in ("bare", "whole"))
    published.write_gemma(whole)
    server.requests.clear()
    ids = ("hf-hub:someone/tiny-siglip", f"local-dir:{bare}", f"local-dir:{whole}")
    env = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    done = forked.run("-c", SPOKEN, *ids, environment=env)
    assert not done.returncode, done.stderr
    spoken = [json.loads(line) for line in done.stdout.splitlines()]
    assert spoken[0] == spoken[1] == spoken[2]
    assert spoken[0][0] == spoken[0][1] != spoken[0][2]
    assert not server.requests
    (whole / "tokenizer.json").unlink()  # of the rest alone a tokenizer can be made that knows no word
    assert forked.run("-c", SPOKEN, ids[2], environment=env).stdout.splitlines() == [json.dumps(spoken[0])]
    for file in (tmp_path / "hf").rglob("models--someone--words/snapshots/*/tokenizer.json"):
        file.unlink()
    done = forked.run("-c", SPOKEN, ids[0], environment=env)
    assert "the tokenizer someone/words is not on this computer" in done.stderr
    assert unifex("download", "hf-hub:someone/tiny-siglip")[0] == 0
    assert forked.run("-c", SPOKEN, ids[0], environment=env).stdout.splitlines() == [json.dumps(spoken[0])]


@pytest.mark.slow
def test_a_published_layout_goes_the_whole_way(server, tmp_path):
    """The smallest that timm publishes; ``python -m benchmarks.published_layouts`` goes with today's."""
    id = "timm:test_vit.r160_in1k"
    published.write(server.root, id)
    pictures = drawing.write_folder(tmp_path / "pictures")
    walk = Walk(zoo.get(id), pictures, tmp_path, server, forked.run)
    walk.go(without=("layer", "export torchscript", "export onnx", "export safetensors"))  # have tests of their own
    assert not walk.failed
    assert list(walk.seconds) == ["download", "index", "search", "train", "pack", "unpack", "search there"]


STOPPED = """
import sys, time
from unifex.core.progress import finish
from unifex.models import hub
from unifex.models.hub import HubFile, fetch, find
file = HubFile("someone/large", ("absent.bin", "weights.bin"))
going = fetch(file)
step = next(step for step in going if 0 < step.done < step.total)
going.close()
print(step.done < step.total, find(file), flush=True)
steps = []
finish(fetch(file), steps.append)
print(steps[-1].done == steps[-1].total, find(file) is not None)
"""


def test_a_stopped_download_leaves_nothing_half_and_can_be_had_again(server, tmp_path):
    (server.root / "someone" / "large").mkdir()
    (server.root / "someone" / "large" / "weights.bin").write_bytes(os.urandom(1 << 20) * 45)
    server.chunk_seconds = 0.04  # the client reports, and can be stopped, every 10 MB
    server.requests.clear()
    env = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    try:
        done = forked.run("-c", STOPPED, environment=env)
    finally:
        server.chunk_seconds = 0.0
    assert done.stdout.split() == ["True", "None", "True", "True"], done.stderr
    assert not list(tmp_path.rglob("*.incomplete"))
