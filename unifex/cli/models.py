"""The commands about models and the backbones they stand on: ``models``, ``backbones``, ``download``, ``export``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.cli.options import OF_ITSELF, Parser, UsageError, named
from unifex.cli.shared import embedder, model_name, say
from unifex.core.console import watched
from unifex.core.text import command, size

if TYPE_CHECKING:
    from unifex.models.embedder import ModelConfig


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    command("models", _models, "list the models")
    listed = command("backbones", _backbones, "list the backbones: parameters, features, work, licence, download")
    listed.add_argument("wanted", nargs="*", metavar="BACKBONE", help="only these, also such as are not in the table")
    download = command("download", _download, "fetch a backbone's weights from the Hugging Face hub")
    download.add_argument("backbone", help="a name of `backbones`, timm:NAME, open_clip:NAME:PRETRAINED, hf-hub:REPO")

    export = command("export", _export, "write a model as one file that needs nothing of this program", model=OF_ITSELF)
    export.add_argument("--format", choices=("torchscript", "onnx", "safetensors"), help="default: by --out")
    export.share("--out", help="FILE.pt, FILE.onnx, a folder for safetensors, or hf:OWNER/NAME")
    export.share("--public")
    export.add_argument("--replace", action="store_true", help="where a model is there already, in its place")
    export.share("--dim", help="length of the embeddings (default 64, as the challenge wants it)")


def _models(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.models.embedder import list_models

    folder = options.library / "models"
    return {"models": [_facts_of(options, config, folder) for config in list_models(folder)]}


def _facts_of(options: argparse.Namespace, config: ModelConfig, folder: Path) -> dict[str, Any]:
    """What a model is; its line for people, too."""
    from unifex.models.backbones import BackboneError
    from unifex.models.embedder import ModelError, backbone_of, find_model

    facts = {"name": config.name, "backbone": config.backbone, "neck": config.neck, "dims": list(config.dims)}
    facts |= {"default_dim": config.default_dim, "parameters": None, "licence": None, "scores": config.scores}
    facts |= {"adapted": None, "description": config.description}
    try:
        backbone = backbone_of(config, find_model(config.name, folder))
    except (BackboneError, ModelError) as error:  # the others are worth listing
        say(options, f"{config.name}: {error}")
        return facts
    adapted = " adapted" if backbone.adaptation else ""
    say(options, f"{config.name}: {config.backbone}{adapted} + {config.neck}, {list(config.dims)}, {backbone.licence}")
    return facts | {
        "parameters": backbone.parameters, "licence": backbone.licence, "adapted": backbone.adaptation is not None,
    }  # fmt: skip


def _backbones(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.models import zoo

    specs = [zoo.get(name) for name in options.wanted] or list(zoo.table().values())
    say(options, f"{'backbone':58}{'weights':>8}{'features':>9}{'px':>5}{'GFLOPs':>8}  words  here  licence")
    for spec in specs:
        words, here = "yes" if spec.text else "", "yes" if spec.here else size(spec.download_bytes)
        numbers = f"{_millions(spec.parameters):>8}{spec.feature_dim:9}{spec.preprocessing.size:5}{spec.gigaflops:8.1f}"
        say(options, f"{spec.id:58}{numbers}  {words:5}  {here:6}  {spec.licence}")
    say(options, "\n`--model raw:BACKBONE` indexes with one as it is; `download BACKBONE` fetches its weights first.")
    return {"backbones": [_facts(spec) for spec in specs]}


def _facts(spec) -> dict[str, Any]:
    return {
        "id": spec.id,
        "title": spec.title,
        "weights": spec.weights,
        "parameters": spec.parameters,
        "text_parameters": spec.text_parameters,
        "features": spec.feature_dim,
        "size": spec.preprocessing.size,
        "gigaflops": spec.gigaflops,
        "words": spec.text is not None,
        "licence": spec.licence,
        "download_bytes": spec.download_bytes,
        "here": spec.here,
        "paper_name": spec.paper_name,
    }


def _millions(count: int) -> str:
    return f"{count / 1e6:.0f} M" if count >= 1e7 else f"{count / 1e6:.1f} M"


def _download(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.models import zoo
    from unifex.models.embedder import RAW

    backbone = watched(zoo.download(zoo.absolute(options.backbone.removeprefix(RAW))))
    files = backbone.weights_files()
    say(options, f"{backbone.id} is here: {', '.join(map(str, files))}")
    how = command("index", "FOLDER", "--gallery", "NAME", "--model", f"{RAW}{backbone.id}")
    say(options, f"index with it: {how}")
    return {"backbone": backbone.id, "path": str(files[0]), "bytes": sum(file.stat().st_size for file in files)}


def _push(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.models.embedder import find_model

    if options.format not in (None, "safetensors"):
        raise UsageError("a model goes to the hub as safetensors; give no --format")
    model = embedder(options)
    card = find_model(model_name(options), options.library / "models") / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {model.name}\n"
    repo = options.out.removeprefix("hf:")
    address = model.push_to_hub(repo, text + _HOW.format(repo=repo), private=not options.public)
    say(options, f"model '{model.name}' is at {address}")
    return {"model": model.name, "address": address, "private": not options.public}


_HOW = """
## How to use

    python -m unifex import hf:{repo} --save NAME

    import unifex
    embeddings = unifex.Embedder.from_pretrained("{repo}").embed(["photo.jpg"])
"""


def _export(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.models.export import SUFFIXES, check_place, export, format_for

    if options.out.startswith("hf:"):
        return _push(options)
    format = options.format or format_for(Path(options.out))
    out = named(options.out, SUFFIXES[format])
    check_place(format, out, options.replace)
    made = export(embedder(options), format, out, options.dim, options.replace)
    is_program = made.format != "safetensors"
    what = f"images [B, 3, H, W] of 0-255 to embeddings [B, {made.dim}]" if is_program else "the model's folder"
    say(options, f"{made.path}: {what}, {size(made.bytes)}")
    say(options, f"compared with the app on a few pictures: cosine {made.cosine:.5f} or more")
    return asdict(made)
