import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from unifex.core.files import file_hash
from unifex.models import backbones, engines, graphs
from unifex.models.efficientnet_lite import LITE0

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module")
def pixels(photographs) -> np.ndarray:
    prep = LITE0.preprocessing
    crops = [photo.crop((20 * i, 10 * i, photo.width, photo.height)) for photo in photographs for i in range(2)]
    return np.stack([prep.to_input(crop) for crop in crops])


@pytest.fixture(scope="module")
def loaded() -> dict[str, engines.Engine]:
    return {name: make(LITE0) for name, make in engines.ENGINES.items()}


@pytest.mark.parametrize("name", engines.ENGINES)
def test_engine_equals_eager_torch_on_photographs(name, loaded, pixels):
    import torch

    with torch.inference_mode():
        expected = backbones.build(LITE0)(torch.from_numpy(pixels)).numpy()
    for path in (loaded[name].features, loaded[name].bulk):
        assert cosine(path(pixels), expected).min() >= 0.999


@pytest.mark.parametrize(("precision", "least"), [("float16", 0.9999), ("bfloat16", 0.99)])
def test_what_16_bits_keep_of_the_bundled_features(precision, least, loaded, pixels):
    features = engines.TorchEngine(LITE0, "cpu", precision).features(pixels)
    assert cosine(features, loaded["torch"].features(pixels)).min() >= least
    assert engines._torch_precision(LITE0, "cuda") == "float16"


def test_features_do_not_depend_on_the_batch(loaded, pixels):
    engine = loaded["openvino"]
    alone = np.concatenate([engine.features(image[None]) for image in pixels])
    assert np.array_equal(alone, engine.bulk(pixels))
    assert np.array_equal(alone[::-1], engine.features(np.ascontiguousarray(pixels[::-1])))


def test_engine_serves_many_threads(loaded, pixels):
    from concurrent.futures import ThreadPoolExecutor

    engine = loaded["openvino"]
    expected = engine.bulk(pixels)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: engine.bulk(pixels[i % len(pixels)][None])[0], range(80)))
    assert all(np.array_equal(result, expected[i % len(pixels)]) for i, result in enumerate(results))


WATCH = """
import json, socket, sys
calls = []
def refuse(*args, **kwargs):
    calls.append(repr(args))
    raise OSError("no network in this test")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""

TELL = """
print(json.dumps({"shape": shape, "torch": "torch" in sys.modules, "network": calls,
                  "telemetry": sys.modules.get("openvino_telemetry") is not None}))
"""

PICTURES_ALONE = """
import numpy as np
from unifex.models import engines
from unifex.models.efficientnet_lite import LITE0
engine = engines.load_engine(LITE0, "openvino")
shape = engine.features(np.zeros((1, 224, 224, 3), np.uint8)).shape
"""


WORDS_ALONE = """
from unifex.models.known_words import SentenceEncoder
shape = SentenceEncoder().embed(["a red car"]).shape
"""


@pytest.mark.parametrize(("asked", "shape"), [(PICTURES_ALONE, [1, 1600]), (WORDS_ALONE, [1, 384])])
def test_first_and_later_starts_do_without_torch_or_network(tmp_path, asked, shape):
    watch = WATCH + asked + TELL
    environment = {**os.environ, "UNIFEX_CACHE": str(tmp_path)}
    runs = [
        json.loads(
            subprocess.run([sys.executable, "-c", watch], env=environment, check=True, capture_output=True).stdout
        )
        for _ in range(2)
    ]
    assert [run["shape"] for run in runs] == [shape] * 2
    assert not any(run["torch"] or run["telemetry"] or run["network"] for run in runs)


@pytest.mark.parametrize("name", ["graph.bin", "graph.xml", "hashes.json"])
def test_a_kept_graph_that_is_damaged_is_made_anew(tmp_path, monkeypatch, name):
    before = engines.OpenVINOEngine(LITE0).features(PIXELS)
    (folder,) = graphs.cache_directory().glob(f"graphs/lite0-{LITE0.weight_hash()}-*")
    shutil.copytree(folder, tmp_path / "graphs" / folder.name)
    monkeypatch.setenv("UNIFEX_CACHE", str(tmp_path))
    kept = next(tmp_path.rglob(name))
    sound = kept.read_bytes()
    kept.write_bytes(sound[: len(sound) // 2] + bytes([sound[len(sound) // 2] ^ 64]) + sound[len(sound) // 2 + 1 :])
    assert np.allclose(engines.OpenVINOEngine(LITE0).features(PIXELS), before, atol=1e-5)
    hashes = json.loads(next(tmp_path.rglob("hashes.json")).read_bytes())
    assert all(file_hash(kept.with_name(file)) == hashes[file] for file in ("graph.bin", "graph.xml"))


def test_without_a_place_to_keep_the_graph_the_engine_works(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNIFEX_CACHE", str(tmp_path / "file"))
    assert engines.OpenVINOEngine(LITE0).features(PIXELS).shape == (1, 1600)
    assert "is not kept, so that every start takes longer" in caplog.text


def test_all_models_share_one_engine_even_when_they_ask_at_once():
    from concurrent.futures import ThreadPoolExecutor

    from unifex.models.embedder import Embedder

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Embedder.load().engine, range(16)))
    assert all(engine is found[0] for engine in found)


def test_unknown_engine_is_named():
    with pytest.raises(backbones.BackboneError, match="openvino"):
        engines.load_engine(LITE0, "abacus")


SPACES = """
import multiprocessing, pickle

def GPU(function):
    def run(*arguments):
        receiver, sender = multiprocessing.get_context("fork").Pipe(False)
        packed = pickle.dumps(arguments)
        def work():
            sender.send_bytes(pickle.dumps(function(*pickle.loads(packed))))
        worker = multiprocessing.get_context("fork").Process(target=work)
        worker.start()
        result = pickle.loads(receiver.recv_bytes())
        worker.join()
        return result
    return run
"""


@pytest.mark.slow
def test_a_lent_gpu_is_used_in_a_forked_worker_with_pickled_arguments(tmp_path):
    """As ZeroGPU does it; the package is there only on such a Space, so a stand-in forks and pickles."""
    (tmp_path / "spaces.py").write_text(SPACES)
    code = """
import numpy as np, os, torch
torch.set_num_threads(1)
from unifex.models import engines
from unifex.models.efficientnet_lite import LITE0
engine = engines.load_engine(LITE0)
pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
print("ZeroGPU" in engine.name, np.array_equal(engine.bulk(pixels), engines.TorchEngine(LITE0).features(pixels)))
"""
    env = {**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert done.stdout.split() == ["True", "True"], done.stderr
