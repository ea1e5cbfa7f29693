"""Running a frozen backbone fast on this machine, behind one small interface: :class:`Engine`.

On a CPU that is OpenVINO, by the graph that ``graphs`` keeps. On CUDA and Apple GPUs it is torch itself; torch eager on
the CPU is the fallback. Every engine computes each image independently of its batch, so an image always has the same
features.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import numpy as np
from cachetools import LRUCache

from unifex.core.language import say, say_many
from unifex.core.text import command
from unifex.models import backbones, towers
from unifex.models.backbones import BackboneSpec
from unifex.models.graphs import graph_of, openvino_module, openvino_version, traced

if TYPE_CHECKING:
    import openvino
    import torch

    from unifex.models.towers import TextTower

MAX_ENGINES, MAX_TEXT_TOWERS = 8, 4  # kept ready in a process; of more, the one that was not asked for the longest goes


class Engine(Protocol):
    """A backbone made ready for this machine.

    ``name`` tells people what runs; ``batch_size`` is how many images a worker should hand over at once; ``workers``
    is how many threads may call :meth:`bulk` at the same time.
    """

    name: str
    batch_size: int
    workers: int

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [B, size, size, 3] -> float32 [B, D], for the shortest wait of one caller."""
        ...

    def bulk(self, pixels: np.ndarray) -> np.ndarray:
        """The same, for the most images a second when ``workers`` threads call it."""
        ...


class _Gate:
    """Many may infer at a time; who makes an engine waits until nobody does, and keeps others waiting."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inferring = 0
        self._makers = 0

    @contextlib.contextmanager
    def inferring(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._makers)
            self._inferring += 1
        try:
            yield
        finally:
            with self._changed:
                self._inferring -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def making(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._makers)
            self._makers += 1
            self._changed.wait_for(lambda: not self._inferring)
        try:
            yield
        finally:
            with self._changed:
                self._makers -= 1
                self._changed.notify_all()


_gate = _Gate()


class OpenVINOEngine:
    """The backbone's graph on OpenVINO's CPU device, float32.

    Of the bundled backbone's features, bfloat16 keeps a cosine of 0.996 and 8-bit integers (NNCF, calibrated on 300
    images) 0.93 in the worst case, where 0.999 is asked for; float16 keeps it and is slower where there is no AMX.

    Compiled twice, for the shortest wait and for the most images a second. All infer requests are made here, by one
    thread, and the first images are inferred here, too: making a request while another thread infers, or two threads
    inferring their first image, can deadlock (OpenVINO 2026.4 waits for a C++ static's guard while holding the GIL).
    So another backbone is made ready while no image is being inferred: see :class:`_Gate`. ``part``: a network from the
    same pixels to one tensor [B, ...], run in the backbone's stead; its graph is not kept.
    """

    batch_size = 1  # measured: one image a stream, and as many streams as cores, is the fastest

    def __init__(self, spec: BackboneSpec, part: torch.nn.Module | None = None):
        streams = os.cpu_count() or 1
        self.workers = streams + 1  # one decodes while the others infer
        self.name = say_many(
            streams,
            "OpenVINO {version} on {count} CPU core",
            "OpenVINO {version} on {count} CPU cores",
            version=openvino_version(),
        )
        core = openvino_module().Core()
        graph = traced(part, spec.preprocessing.size) if part else graph_of(spec, core)
        with _gate.making():
            self._make(core, graph, spec.preprocessing.size, streams)

    def _make(self, core: openvino.Core, graph: openvino.Model, side: int, streams: int) -> None:
        graph.reshape([self.batch_size, side, side, 3])  # a fixed shape is 5 to 10 % faster than an open one

        def requests(count: int, **options: str) -> SimpleQueue[openvino.InferRequest]:
            model = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **options})
            made: SimpleQueue[openvino.InferRequest] = SimpleQueue()
            for _ in range(count):
                made.put(model.create_infer_request())
            return made

        self._latency = requests(1, PERFORMANCE_HINT="LATENCY")
        self._throughput = requests(self.workers, PERFORMANCE_HINT="THROUGHPUT", NUM_STREAMS=str(streams))
        blank = np.zeros((1, side, side, 3), np.uint8)
        _infer(self._latency, blank)
        _infer(self._throughput, blank)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        with _gate.inferring():
            return _infer(self._latency, pixels)

    def bulk(self, pixels: np.ndarray) -> np.ndarray:
        with _gate.inferring():
            return _infer(self._throughput, pixels)


def _infer(requests: SimpleQueue[openvino.InferRequest], pixels: np.ndarray) -> np.ndarray:
    """One image after the other. A request serves one caller at a time; whoever finds none free waits."""
    request = requests.get()
    try:
        results = [np.array(request.infer({0: image[None]}, share_inputs=True)[0]) for image in pixels]
    finally:
        requests.put(request)
    return np.concatenate(results)


class TorchEngine:
    """torch on CUDA or an Apple GPU, in 16 bits and channels-last; on the CPU, in 32 bits, the fallback."""

    def __init__(self, spec: BackboneSpec, device: str | None = None, precision: str | None = None):
        import torch

        self._torch = torch
        self._device = torch.device(device or torch_device())
        self._precision = getattr(torch, precision or _torch_precision(spec, self._device.type))
        network = backbones.build(spec).to(self._device)
        self._network = network.to(memory_format=torch.channels_last) if self._device.type != "cpu" else network
        on_gpu = self._device.type != "cpu"
        self.batch_size = 64 if on_gpu else 8
        self.workers = max(2, (os.cpu_count() or 1) // 2) if on_gpu else 2
        kind = str(self._precision).removeprefix("torch.")
        version = torch.__version__.split("+")[0]
        self.name = say("torch {version} on {device}, {kind}", version=version, device=self._device.type, kind=kind)
        self._lock = threading.Lock()

    def features(self, pixels: np.ndarray) -> np.ndarray:
        torch = self._torch
        low = self._precision != torch.float32
        with self._lock, torch.inference_mode(), torch.autocast(self._device.type, self._precision, enabled=low):
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
            return self._network(batch).float().cpu().numpy()

    bulk = features


def _lent_gpu(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """On a ZeroGPU Space, the function in a forked worker that has a GPU; everywhere else the function itself.

    Spaces looks for such functions while the app starts, so this is done at import. Arguments and result are pickled.
    """
    if not on_zero_gpu():
        return function
    import spaces

    return spaces.GPU(function)


def on_zero_gpu() -> bool:
    """Whether this is a Space that is lent a GPU for each call (its ``spaces`` package says how)."""
    return bool(os.environ.get("SPACES_ZERO_GPU")) and importlib.util.find_spec("spaces") is not None


_lent: WeakValueDictionary[str, TorchEngine] = WeakValueDictionary()  # those of the engines that are alive


@_lent_gpu
def _features_on_lent_gpu(key: str, pixels: np.ndarray) -> np.ndarray:
    """The engine is found by name in the worker, which was forked from a process that holds it."""
    return _lent[key].features(pixels)


class ZeroGPUEngine:
    """torch on the GPU that a Space is lent for the length of a call."""

    batch_size = 64
    workers = 2

    def __init__(self, spec: BackboneSpec):
        self._key, self._engine = spec.weight_hash(), TorchEngine(spec)
        _lent[self._key] = self._engine
        self.name = say("{engine}, lent for each call (ZeroGPU)", engine=self._engine.name)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return _features_on_lent_gpu(self._key, pixels)

    bulk = features


def _torch_precision(spec: BackboneSpec, device: str) -> str:
    """On GPUs float16, which keeps the direction of the bundled networks' features to a cosine of 0.9999, bfloat16 to
    0.996 only; but bfloat16 for others on CUDA, whose numbers may be larger than float16 holds: these end at 6."""
    import torch

    if device == "cpu":
        return "float32"
    is_bounded = "efficientnet_lite" in spec.architecture
    return "bfloat16" if device == "cuda" and not is_bounded and torch.cuda.is_bf16_supported() else "float16"


def torch_device() -> str:
    """Where torch computes here: ``cuda``, ``mps`` or ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def on_gpu() -> bool:
    """Whether backbones run on a GPU here.

    Told without importing torch where no driver is present: that alone would cost three seconds at every start.
    """
    drivers = (Path("/dev/nvidiactl"), Path("/proc/driver/nvidia/version"), Path("/dev/kfd"))
    if sys.platform.startswith("linux") and not any(driver.exists() for driver in drivers):
        return False
    return torch_device() != "cpu"


ENGINES: dict[str, Callable[[BackboneSpec], Engine]] = {
    "openvino": OpenVINOEngine, "torch": TorchEngine, "zerogpu": ZeroGPUEngine,
}  # fmt: skip


_text_towers: LRUCache[str, TextTower] = LRUCache(MAX_TEXT_TOWERS)
_text_lock = threading.Lock()


def load_text_tower(spec: BackboneSpec) -> TextTower:
    """The backbone's text tower, on the CPU with torch; kept.

    Raises ``BackboneError`` when it has none, or when its weights or its tokenizer are not on this computer.
    """
    if spec.text is None:
        raise backbones.BackboneError(
            say(
                "backbone '{backbone}' knows no words; index with one that does, as Model in the Gallery tab says",
                backbone=spec.id,
            ),
            command=command("backbones"),
        )
    with _text_lock:
        key = spec.weight_hash()
        if key not in _text_towers:
            try:
                _text_towers[key] = spec.text(spec.weights_files()[0])
            except towers.TowerError as error:
                raise backbones.BackboneError(
                    say(
                        "{error}: choose '{backbone}' under Model in the Gallery tab to download it",
                        error=error,
                        backbone=spec.id,
                    ),
                    command=command("download", spec.id),
                ) from error
        return _text_towers[key]


_engines: LRUCache[tuple[str, str], Engine] = LRUCache(MAX_ENGINES)
_living: WeakValueDictionary[tuple[str, str], Engine] = WeakValueDictionary()  # also those that only a model holds
_engines_lock = threading.Lock()


def load_engine(spec: BackboneSpec, name: str | None = None) -> Engine:
    """The fastest engine there is for this backbone here, or the one named (also by ``UNIFEX_ENGINE``).

    Kept, and shared by all models on this backbone: a second one would cost memory, and making it while the first
    infers can deadlock (see :class:`OpenVINOEngine`).
    """
    name = name or engine_name(spec)
    check_engine(name)
    with _engines_lock:
        key = (spec.weight_hash(), name)
        engine = _engines[key] = _living.get(key) or ENGINES[name](spec)
        _living[key] = engine
        return engine


def engine_name(spec: BackboneSpec) -> str:
    """Which engine runs a backbone here, if nobody names another."""
    return spec.engine or os.environ.get("UNIFEX_ENGINE") or _fastest()


def check_engine(name: str | None = None) -> None:
    """Raises ``BackboneError`` for an engine that there is not; without a name for that of ``UNIFEX_ENGINE``."""
    name = name or os.environ.get("UNIFEX_ENGINE")
    if name and name not in ENGINES:
        raise backbones.BackboneError(
            say("no engine '{name}'; there are: {known}", name=name, known=", ".join(ENGINES))
        )


def _fastest() -> str:
    if on_zero_gpu():
        return "zerogpu"
    return "torch" if on_gpu() or importlib.util.find_spec("openvino") is None else "openvino"
