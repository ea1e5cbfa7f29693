"""A model as one file that needs nothing of this program: TorchScript, ONNX, or its own folder.

TorchScript and ONNX take images [B, 3, H, W] of 0-255 in any size and give embeddings [B, dim], L2 norm 1: what the
Google Universal Image Embedding Challenge asks of a submission (dim 64). Fitting the image to the network, normalising,
backbone and neck are inside.

Fitting is written as two matrix products, one for the rows and one for the columns: Pillow's filters are linear and
separable, and so every runtime computes the same, whatever its own resize would do.
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from unifex.core import disk, images, system
from unifex.core.files import ready, scratch_folder, whole_file
from unifex.core.language import say
from unifex.core.preprocessing import REDUCING_GAP, Preprocessing
from unifex.data import demo
from unifex.models import backbones, torchscript
from unifex.models.embedder import FILES, Embedder, ModelError

if TYPE_CHECKING:
    import torch

CHALLENGE_DIM = 64
PARITY = 0.999
ONNX_OPSET = 17
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}  # of Pillow's filters, in pixels of the smaller image
_PROBES = ((320, 320), (320, 200), (150, 320), (96, 128))


@dataclass(frozen=True)
class Exported:
    """Where it is; ``cosine``: the least one between its embeddings and the app's on a few pictures."""

    path: str
    format: str
    dim: int
    bytes: int
    cosine: float


def fitting(prep: Preprocessing) -> torch.nn.Module:
    """Images [B, 3, H, W] of 0-255 -> what ``prep.to_input`` makes of each, float [B, 3, size, size] of 0-255."""
    import torch

    size, support = float(prep.size), _SUPPORT[prep.interpolation]

    class Fit(torch.nn.Module):
        fill: torch.Tensor
        places: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("fill", torch.tensor(prep.fill, dtype=torch.float32).view(1, 3, 1, 1))
            self.register_buffer("places", torch.arange(prep.size, dtype=torch.float32) + 0.5)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            pixels = pixels.float()
            # Lengths as tensors, so that tracing does not take those of its example for constants.
            height = torch.ones_like(pixels[0, 0, :, 0])
            width = torch.ones_like(pixels[0, 0, 0, :])
            longest, shortest = torch.maximum(height.sum(), width.sum()), torch.minimum(height.sum(), width.sum())
            rows, inside_rows = self.weights(height, longest, shortest)
            columns, inside_columns = self.weights(width, longest, shortest)
            # As Pillow, which rounds to whole values after each of the two passes.
            fitted = torch.matmul(pixels, columns.transpose(0, 1)).clamp(0, 255).round()
            fitted = torch.matmul(rows, fitted).clamp(0, 255).round()
            inside = inside_rows[:, None] * inside_columns[None, :]
            return fitted * inside + self.fill * (1 - inside)

        def weights(
            self, ones: torch.Tensor, longest: torch.Tensor, shortest: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            """How much each of n source pixels counts in each of ``size`` places [size, n]; which places show any."""
            length = ones.sum()
            if prep.fit == "squash":
                resized = torch.full_like(length, size)
            elif prep.fit == "pad":
                resized = (length * size / longest).round().clamp(min=1)
            else:
                resized = (length * (size / prep.crop_fraction) / shortest).round().clamp(min=size)
            # Left and top margin of a pad; of a crop, less than nothing, rounded as preprocessing does.
            offset = torch.floor((size - resized) / 2) if prep.fit == "pad" else -torch.floor((resized - size) / 2)
            # Pillow first takes the mean of boxes of ``factor`` pixels, when it shrinks more than REDUCING_GAP times 2.
            factor = torch.floor(length / resized / REDUCING_GAP).clamp(min=1)
            boxes = torch.floor((torch.cumsum(ones, 0) - 0.5) / factor)
            in_box = torch.minimum(factor, length - boxes * factor)
            scale = length / factor / resized
            centres = (self.places - offset) * scale
            distances = (boxes + 0.5)[None, :] - centres[:, None]
            weights = _filter(distances / scale.clamp(min=1), support) / in_box
            inside = ((self.places > offset) & (self.places < offset + resized)).float()
            return weights / weights.sum(1, keepdim=True).clamp(min=1e-6), inside

    return Fit()


def _filter(x: torch.Tensor, support: float) -> torch.Tensor:
    """Pillow's filter: triangle, Keys' cubic with a = -0.5, or Lanczos with 3 lobes."""
    import torch

    x = x.abs()
    if support == 1:
        return (1 - x).clamp(min=0)
    if support == 2:
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


def module_of(embedder: Embedder, dim: int) -> torch.nn.Module:
    """Images [B, 3, H, W] of 0-255 -> embeddings float32 [B, dim], L2 norm 1, in torch."""
    import torch
    from torch.nn.functional import linear, normalize

    class ImagesToEmbeddings(torch.nn.Module):
        weight: torch.Tensor
        bias: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.fit = fitting(embedder.backbone.preprocessing)
            self.backbone = backbones.build(embedder.backbone)
            self.register_buffer("weight", torch.from_numpy(embedder.neck.weight[:dim].copy()))
            self.register_buffer("bias", torch.from_numpy(embedder.neck.bias[:dim].copy()))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.of_fitted(self.fit(pixels))

        def of_fitted(self, pixels: torch.Tensor) -> torch.Tensor:
            features = self.backbone(pixels.permute(0, 2, 3, 1))
            return normalize(linear(features, self.weight, self.bias), dim=1)

    return ImagesToEmbeddings().eval().requires_grad_(False)


Run = Callable[[np.ndarray], np.ndarray]
_one_at_a_time = threading.Lock()  # torch's exporter keeps its state in globals


@contextlib.contextmanager
def _tracing() -> Iterator[None]:
    """Without torch's fused attention, which other runtimes do not have, and without its announcements."""
    import torch

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _torchscript(embedder: Embedder, dim: int, out: Path) -> Run:
    import torch

    with _tracing():
        fit = embedder.backbone.preprocessing
        examples = {"forward": _example(), torchscript.FITTED: torch.zeros(2, 3, fit.size, fit.size)}
        traced = torch.jit.trace_module(module_of(embedder, dim), examples, check_trace=False)
        # It announces its retirement; the challenge takes nothing else. Not to a file by itself: where the disk is
        # full, it ends the process.
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer, _extra_files=torchscript.with_fitting(fit))
        out.write_bytes(buffer.getbuffer())
        loaded = torch.jit.load(out)

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return loaded(torch.from_numpy(batch)).numpy()

    return run


def _onnx(embedder: Embedder, dim: int, out: Path) -> Run:
    if embedder.backbone.id.startswith(torchscript.PREFIX):
        told = say(
            "model '{name}' stands on an imported TorchScript file, which cannot become ONNX; take both as one "
            "TorchScript file",
            name=embedder.name,
        )
        raise ModelError(told, command=torchscript.exporting(embedder.name))
    try:
        import onnx  # noqa: F401  torch's exporter needs it
        import onnxruntime
    except ImportError as error:
        raise ModelError(say("ONNX needs {package}: `pip install onnx onnxruntime`", package=error.name)) from error
    import torch

    with _tracing():
        torch.onnx.export(
            module_of(embedder, dim), (_example(),), out, dynamo=False, opset_version=ONNX_OPSET,
            input_names=["images"], output_names=["embeddings"],
            dynamic_axes={"images": {0: "batch", 2: "height", 3: "width"}, "embeddings": {0: "batch"}},
        )  # fmt: skip
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(session.run(None, {"images": batch})[0])


def _example() -> torch.Tensor:
    import torch

    return torch.zeros(2, 3, 120, 160)


def _folder(embedder: Embedder, dim: int, out: Path) -> Run:
    embedder.save(out)
    loaded = Embedder.load(str(out.resolve()))
    return lambda batch: loaded.embed([Image.fromarray(i.transpose(1, 2, 0).astype(np.uint8)) for i in batch], dim)


FORMATS: dict[str, Callable[[Embedder, int, Path], Run]] = {
    "torchscript": _torchscript, "onnx": _onnx, "safetensors": _folder,
}  # fmt: skip
SUFFIXES = {"torchscript": ".pt", "onnx": ".onnx", "safetensors": ""}


def format_for(out: Path) -> str:
    """The format that a file's name asks for; without a suffix it is a folder."""
    return next((name for name, suffix in SUFFIXES.items() if suffix == out.suffix.lower()), "safetensors")


def export(embedder: Embedder, format: str, out: str | Path, dim: int | None = None, replace: bool = False) -> Exported:
    """Write a model and compare what was written with the app on a few pictures.

    ``dim``: length of the embeddings, by default 64 where the neck has it (safetensors keep all). ``replace`` what is
    there. Raises ModelError for an unknown format, for what cannot be written, where something is there already, and
    when the written model does not give the app's embeddings; then nothing is left of it.
    """
    out = Path(out)
    if format not in FORMATS:
        raise ModelError(say("no format '{format}'; there are: {known}", format=format, known=", ".join(FORMATS)))
    dims = embedder.neck.dims
    usual = CHALLENGE_DIM if CHALLENGE_DIM in dims else embedder.default_dim
    dim = embedder.neck.check_dim(usual if dim is None else dim)
    check_place(format, out, replace)
    if not SUFFIXES[format]:
        embedder.check_travels()
    place = whole_file(out) if SUFFIXES[format] else _files_into(out)
    with _one_at_a_time, place as unfinished:
        run = FORMATS[format](embedder, dim, unfinished)
        cosine = _agreement(embedder, dim, run)
        if not cosine >= PARITY:
            raise ModelError(
                say(
                    "{out} gives other embeddings than the app (cosine {cosine:.4f}); please report this",
                    out=out,
                    cosine=cosine,
                )
            )
    size = sum(file.stat().st_size for file in _written(format, out))
    return Exported(str(out), format, dim, size, cosine)


def check_place(format: str, out: Path, replace: bool) -> None:
    """Raises ModelError where a model may not be written: somebody's own may lie there; and as :func:`ready` does."""
    what = say("a file") if SUFFIXES[format] else say("a folder")
    if out.is_dir() if SUFFIXES[format] else out.exists() and not out.is_dir():
        raise ModelError(say("{format} is {what}, and '{out}' is not; name another", format=format, what=what, out=out))
    if there := [file for file in _written(format, out) if file.is_file() and not replace]:
        raise ModelError(say("'{place}' is there already; name another, or --replace it", place=there[0]))
    if SUFFIXES[format]:
        ready(out)


def _written(format: str, out: Path) -> list[Path]:
    return [out] if SUFFIXES[format] else [out / name for name in FILES]


@contextlib.contextmanager
def _files_into(folder: Path) -> Iterator[Path]:
    """A folder to fill, whose files go into ``folder`` when the block ends, and nowhere when it fails."""
    with scratch_folder(folder if folder.is_dir() else folder.parent, "model") as scratch:
        yield scratch
        disk.make_folder(folder)
        for file in scratch.iterdir():
            system.replace(file, folder / file.name)


def _agreement(embedder: Embedder, dim: int, run: Run) -> float:
    """The least cosine between what the app and what was written give for a few pictures."""
    pictures = [images.decode(demo.render("toys", 1, view)).image.resize(size) for view, size in enumerate(_PROBES)]
    expected = embedder.embed(pictures, dim)
    batches = (np.asarray(picture, np.float32).transpose(2, 0, 1)[None] for picture in pictures)
    found = np.concatenate([run(np.ascontiguousarray(batch)) for batch in batches])
    return float((found * expected).sum(axis=1).min())
