"""What can be set from the command line and the environment, in one table for the app and the command line."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unifex.cli.options import Parser, given_in_environment, plain_text, variable_of
from unifex.core import ranges
from unifex.core.address import free_port, served_at
from unifex.core.errors import UnifexError
from unifex.core.language import AUTO, ENGLISH, check_language, languages
from unifex.core.text import reason, what_there_is
from unifex.data.sources import open_source
from unifex.models.embedder import DEFAULT_MODEL, check_model
from unifex.models.engines import check_engine
from unifex.models.zoo import absolute

log = logging.getLogger("unifex")
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

# What is before a Space asks from a network of the platform's own.
SPACE_PROXIES = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10"


def _option(default, help: str, **extra):
    return field(default=default, metadata={"help": help, **extra})


def _switch(text: str) -> bool:
    if text.strip().lower() not in _SWITCH:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_SWITCH)}")
    return _SWITCH[text.strip().lower()]


def _credentials(text: str) -> str:
    user, _, password = text.partition(":")
    if not user or not password:
        raise argparse.ArgumentTypeError("must be USER:PASSWORD, neither of them empty")
    return text


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("must be a folder")
    return Path(text)


def _model(text: str) -> str:
    return absolute(plain_text(text))


def _host(text: str) -> str:
    return text.strip().removeprefix("[").removesuffix("]")


def _names(text: str) -> str:
    for name in filter(None, map(str.strip, text.split(","))):
        if not re.fullmatch(r"\.?[\w-]+(\.[\w-]+)*", name):
            raise argparse.ArgumentTypeError(f"{name!r} is no name of a server, as it stands between // and / or :")
    return text


def _networks(text: str) -> str:
    for network in filter(None, map(str.strip, text.split(","))):
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}; give addresses or networks") from None
    return text


@dataclass(frozen=True)
class Settings:
    """Each field is the option ``--name`` and the variable ``UNIFEX_NAME``; the option wins."""

    library: Path = _option(Path("indexes"), "folder of galleries and trained models", type=_folder, everywhere=True)
    model: str | None = _option(
        None, "model to index and search with", otherwise=f"the gallery's, {DEFAULT_MODEL} for a new one",
        type=_model,
    )  # fmt: skip
    data: Path | None = _option(None, "folder of public data sets (M4D-35k and its peers)", type=_folder)
    gallery: str = _option("", "gallery to open first, or a source to index and open")
    host: str = _option("127.0.0.1", "address to listen on (0.0.0.0 or :: for the network)", type=_host)
    port: int = _option(7860, "port to listen on; the next free one when taken", type=ranges.PORT)
    share: bool = _option(False, "make a public link through Gradio's servers", type=_switch)
    auth: str | None = _option(None, "USER:PASSWORD to ask for", type=_credentials)
    public: bool = _option(
        False, "serve strangers: each has a private workspace, galleries are read-only", type=_switch
    )
    read_only: bool = _option(False, "nobody changes anything", type=_switch)
    visitor_images: int = _option(5000, "public: images that a visitor may keep", type=ranges.VISITOR_IMAGES)
    visitor_megabytes: int = _option(1000, "public: megabytes that a visitor may keep", type=ranges.VISITOR_MEGABYTES)
    visitor_trainings: int = _option(10, "public: trainings of a visitor", type=ranges.VISITOR_TRAININGS)
    visitor_minutes: float = _option(30.0, "public: minutes that a training may take", type=ranges.VISITOR_MINUTES)
    visitor_hours: float = _option(
        6.0, "public: hours after the last use when a visitor's data is deleted", type=ranges.VISITOR_HOURS
    )
    rate: int = _option(600, "public: requests a minute of one visitor", type=ranges.RATE)
    allowed_hosts: str = _option(
        "", "further names that this server is called by, as behind a proxy, with commas between", type=_names
    )
    trusted_proxy: str = _option(
        "", "proxies that say for whom they ask: addresses or networks (10.0.0.0/8), with commas between",
        type=_networks,
    )  # fmt: skip
    mcp: bool = _option(
        False, "serve tools for AI agents (Model Context Protocol) at /gradio_api/mcp, too", type=_switch
    )
    health_token: str = _option("", "who gives it sees /health; without it only this computer does")
    language: str = _option(ENGLISH, f"language of the page: {', '.join([*languages(), AUTO])}", type=check_language)


def add_options(parser: Parser, everywhere_only: bool = False, model: str = "") -> None:
    """Add an option for every setting, or only for those that every command shares, and for the ``model`` where a
    command says what it is there."""
    for setting in fields(Settings):
        told = model if setting.name == "model" else ""
        if everywhere_only and not (told or setting.metadata.get("everywhere")):
            continue
        kind, option = setting.metadata.get("type", str), f"--{setting.name.replace('_', '-')}"
        default = _default(parser, option, kind, setting.default)
        said = setting.metadata.get("otherwise") or setting.default or "none"
        text = told or f"{setting.metadata['help']} (or {variable_of(option)}; default: {said})"
        if kind is _switch:
            parser.add_argument(option, action="store_true", default=default, help=text)
        else:
            parser.add_argument(option, type=kind, default=default, help=text)


def _default(parser: Parser, option: str, kind: Callable[[str], Any], default: Any) -> Any:
    """What a setting is where no option says it: what the environment says, else the program's own default."""
    variable, value = given_in_environment(option)
    if not value:
        return home() / default if option == "--library" else default
    try:
        return kind(value)
    except (argparse.ArgumentTypeError, UnifexError) as error:
        raise SystemExit(f"{parser.prog}: {variable}={value!r}: {error}") from None


def home() -> Path:
    """Where galleries, models and caches lie: ``UNIFEX_HOME``, else here."""
    return Path(os.environ.get("UNIFEX_HOME", ""))


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Settings of ``python app.py``, tried out; exits with a sentence when the page cannot be served with them.

    Hugging Face Spaces (``SPACE_ID``) are public and listen on every address.
    """
    parser = Parser(prog="python app.py", description="UniFEx: a visual search engine of your images.")
    add_options(parser)
    values = vars(parser.parse_args(arguments))
    if os.environ.get("SPACE_ID"):
        values.update(public=True, host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"))
        values["trusted_proxy"] = values["trusted_proxy"] or SPACE_PROXIES
    settings = Settings(**values)
    for name, check in _CHECKS.items():
        try:
            check(settings)
        except UnifexError as error:
            raise SystemExit(f"{parser.prog}: {_as_given(settings, name)}: {error}") from None
    return settings


def _as_given(settings: Settings, name: str) -> str:
    """A setting as who gave it wrote it: a variable or an option."""
    option = f"--{name.replace('_', '-')}"
    variable, said = given_in_environment(option)
    value = str(getattr(settings, name, said))
    if said and value == said:
        return f"{variable}={value!r}"
    return option if getattr(settings, name, None) is True else f"{option} {value!r}"


def _check_library(settings: Settings) -> None:
    """A folder that can only be read is served, if there is something in it."""
    try:
        settings.library.mkdir(parents=True, exist_ok=True)
        if not settings.read_only:
            with tempfile.TemporaryFile(dir=settings.library):
                pass
    except OSError as error:
        if not any(settings.library.glob("*/gallery.json")):
            raise UnifexError(f"this is no folder to write in: {reason(error)}; give another") from error
        log.warning("'%s' can only be read (%s): nothing is added or changed", settings.library, reason(error))


def _check_data(settings: Settings) -> None:
    if settings.data and not settings.data.is_dir():
        raise UnifexError("there is no such folder")


def _check_gallery(settings: Settings) -> None:
    if not settings.gallery or (settings.library / settings.gallery / "gallery.json").is_file():
        return
    try:
        open_source(settings.gallery)
    except UnifexError as error:
        names = sorted(path.parent.name for path in settings.library.glob("[!.]*/gallery.json"))
        there = what_there_is(names, settings.gallery)
        raise UnifexError(f"no gallery ({there}), and no images: {error}") from error


def _check_mcp(settings: Settings) -> None:
    if settings.mcp and not find_spec("mcp"):
        raise UnifexError("this needs what is not installed: pip install 'unifex[mcp]'")


# What can only be seen by trying, in this order and before anything heavy is loaded.
_CHECKS: dict[str, Callable[[Settings], object]] = {
    "host": lambda settings: served_at(settings.host),
    "port": lambda settings: free_port(served_at(settings.host), settings.port),
    "library": _check_library,
    "engine": lambda settings: check_engine(),
    "mcp": _check_mcp,
    "model": lambda settings: check_model(settings.model or DEFAULT_MODEL, settings.library / "models"),
    "data": _check_data,
    "gallery": _check_gallery,
}
