"""What can be set from the command line and the environment, in one table for the app and the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from unifex.embedder import DEFAULT_MODEL


def _option(default, help: str, **extra):
    return field(default=default, metadata={"help": help, **extra})


@dataclass(frozen=True)
class Settings:
    """Each field is the option ``--name`` and the variable ``UNIFEX_NAME``; the option wins."""

    indexes: Path = _option(Path("indexes"), "folder of galleries and trained models", type=Path, everywhere=True)
    model: str = _option(DEFAULT_MODEL, "model to index and search with", everywhere=True)
    data: Path | None = _option(None, "folder of public data sets (M4D-35k and its peers)", type=Path)
    gallery: str = _option("", "gallery to open first, or a source to index and open")
    host: str = _option("127.0.0.1", "address to listen on (0.0.0.0 for the network)")
    port: int = _option(7860, "port to listen on; the next free one when taken", type=int)
    share: bool = _option(False, "make a public link through Gradio's servers", type=bool)
    auth: str = _option("", "USER:PASSWORD to ask for")
    public: bool = _option(False, "serve strangers: each has a private workspace, galleries are read-only", type=bool)
    read_only: bool = _option(False, "nobody changes anything", type=bool)
    visitor_images: int = _option(5000, "public: images that a visitor may keep", type=int)
    visitor_megabytes: int = _option(1000, "public: megabytes that a visitor may keep", type=int)
    visitor_trainings: int = _option(10, "public: trainings of a visitor", type=int)
    visitor_minutes: float = _option(30.0, "public: minutes that a training may take", type=float)
    visitor_hours: float = _option(6.0, "public: hours after the last use when a visitor's data is deleted", type=float)
    rate: int = _option(600, "public: requests a minute of one visitor", type=int)
    health_token: str = _option("", "who gives it sees /health; without it only this computer does")


def add_options(parser: argparse.ArgumentParser, everywhere_only: bool = False) -> None:
    """Add an option for every setting, or only for those that every command shares."""
    for setting in fields(Settings):
        if everywhere_only and not setting.metadata.get("everywhere"):
            continue
        kind = setting.metadata.get("type", str)
        variable = f"UNIFEX_{setting.name.upper()}"
        default = _from_environment(variable, kind, setting.default)
        if setting.name == "indexes" and variable not in os.environ:
            default = home() / default
        text = f"{setting.metadata['help']} (or {variable}; default: {setting.default or 'none'})"
        option = f"--{setting.name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(option, action="store_true", default=default, help=text)
        else:
            parser.add_argument(option, type=kind, default=default, help=text)


def home() -> Path:
    """Where galleries, models and caches lie: ``UNIFEX_HOME``, else here."""
    return Path(os.environ.get("UNIFEX_HOME", ""))


def _from_environment(variable: str, kind: type, default):
    value = os.environ.get(variable)
    if value is None:
        return default
    if kind is bool:
        return value.strip().lower() in ("1", "true", "yes", "on")
    try:
        return kind(value)
    except ValueError:
        raise SystemExit(f"{variable}={value!r} is not a {kind.__name__}") from None


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Settings of ``python app.py``. Hugging Face Spaces (``SPACE_ID``) are public and listen on every address."""
    parser = argparse.ArgumentParser(prog="python app.py", description="UniFEx: a visual search engine of your images.")
    add_options(parser)
    values = vars(parser.parse_args(arguments))
    if os.environ.get("SPACE_ID"):
        values.update(public=True, host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"))
    return Settings(**values)
