"""The graph of a backbone, as OpenVINO runs it: made once, and kept in the user's cache directory, from where it is
there in a fraction of a second ever after, without importing torch."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.core import derived
from unifex.core.derived import Origin
from unifex.core.files import file_hash, new_folder
from unifex.core.text import reason
from unifex.models import backbones
from unifex.models.backbones import BackboneSpec

if TYPE_CHECKING:
    import openvino
    import torch

GRAPH_HASHES = "hashes.json"
log = logging.getLogger("unifex")


def cache_directory() -> Path:
    """Where graphs are kept: ``UNIFEX_CACHE``, else ``UNIFEX_HOME/cache``, else the user's cache directory."""
    if "UNIFEX_CACHE" in os.environ:
        return Path(os.environ["UNIFEX_CACHE"])
    if "UNIFEX_HOME" in os.environ:
        return Path(os.environ["UNIFEX_HOME"]) / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unifex"


def openvino_module() -> Any:
    """OpenVINO without its telemetry package, which would otherwise report conversions to its makers."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def openvino_version() -> str:
    """As people know it."""
    return metadata.version("openvino").split("-")[0]


def graph_of(spec: BackboneSpec, core: openvino.Core) -> openvino.Model:
    """uint8 [B, size, size, 3] -> float32 [B, D]: as it was made before with these weights and versions; else made now
    and kept, where that can be. Raises ``BackboneError``."""
    name = re.sub(r"[^\w.-]+", "-", spec.id)[-80:]
    origin = Origin("graph", model=f"{spec.id}-{spec.weight_hash()}-openvino{openvino_version()}")
    folder = cache_directory() / "graphs" / f"{name}-{spec.weight_hash()}-openvino{openvino_version()}"
    if _is_sound(folder, origin):
        return core.read_model(folder / "graph.xml")
    graph = spec.graph(spec) if spec.graph else traced(backbones.build(spec), spec.preprocessing.size)
    try:
        _keep(graph, folder, origin)
    except (OSError, RuntimeError) as error:  # OpenVINO says RuntimeError of a full disk
        log.warning("the graph of %s is not kept, so that every start takes longer: %s", spec.id, reason(error))
    return graph


def traced(network: torch.nn.Module, side: int) -> openvino.Model:
    """The graph of any network from uint8 [B, side, side, 3] to one tensor."""
    import torch

    convert = openvino_module().convert_model
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace announces its retirement; OpenVINO still traces with it
        # Traced once: to do it again for comparison, as is usual, takes as long again.
        decoder = TorchScriptPythonDecoder(network, example_input=example, trace_kwargs={"check_trace": False})
        graph = convert(decoder, example_input=example)
    graph.reshape([-1, side, side, 3])
    return graph


def _is_sound(folder: Path, origin: Origin) -> bool:
    hashes = derived.read_json(folder / GRAPH_HASHES, origin)
    try:
        return bool(hashes) and all(file_hash(folder / name) == sha256 for name, sha256 in hashes.items())
    except OSError:
        return False


def _keep(graph: openvino.Model, folder: Path, origin: Origin) -> None:
    with new_folder(folder) as made:
        openvino_module().save_model(graph, made / "graph.xml", compress_to_fp16=False)
        hashes = {file.name: file_hash(file) for file in made.iterdir()}
        derived.write_json(made / GRAPH_HASHES, hashes, origin)
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or of another process that was first
