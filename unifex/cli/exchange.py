"""The commands that take galleries elsewhere and back: ``pack``, ``unpack``, ``clip``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.cli.options import TO_ADD, Parser, named, on_disk, plain_path
from unifex.cli.shared import adding_to, chosen_embedder, library, refuse, say, spare
from unifex.core.console import watched
from unifex.core.text import command, plural, size
from unifex.data.sources import meant

if TYPE_CHECKING:
    from unifex.gallery.clip_retrieval import Moved


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    packed = command("pack", _pack, "write a gallery as one zip that opens elsewhere, or put it on the hub")
    packed.add_argument("gallery")
    packed.share("--out", help="FILE.zip or hf:OWNER/NAME")
    packed.add_argument("--images", action="store_true", help="the images themselves, too, not only thumbnails")
    packed.add_argument(
        "--no-searches", action="store_true", help="without its saved searches and the pictures they were made with"
    )
    packed.add_argument("--places", action="store_true", help="also where pictures were taken (latitude, longitude)")
    packed.share("--public")
    unpacked = command("unpack", _unpack, "make a gallery of what `pack` wrote")
    unpacked.add_argument("source", type=on_disk, metavar="FILE.zip|hf:OWNER/NAME")
    unpacked.share("--gallery", help="name of the new gallery")

    clip = command(
        "clip",
        _clip,
        "clip-retrieval's layout (img_emb_N.npy + metadata_N.parquet): read it, or write it",
        model=TO_ADD,
    )
    clip.add_argument("folder", type=plain_path)
    clip.share("--gallery", help="to add to (its backbone must have made the features), or to write")
    clip.add_argument("--images", type=Path, metavar="DIR", help="where its images lie, if not in the folder")
    clip.add_argument("--write", action="store_true", help="write the gallery there instead")
    clip.add_argument("--features", action="store_true", help="with --write: the backbone's features, not embeddings")
    clip.add_argument("--replace", action="store_true", help="with --write: also what another program wrote there")
    clip.add_argument("--places", action="store_true", help="with --write: also where pictures were taken")
    clip.share("--dim", help="with --write: length of the embeddings (default: the gallery's)")


def _pack(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery import bundle

    out = None if options.out.startswith("hf:") else named(options.out, ".zip")
    galleries = library(options)
    gallery = galleries.get(options.gallery)
    if options.images and (placed := gallery.database.placed()):
        say(options, f"the image files go as they are: {plural(placed, 'image')} of them tell where they were taken")
    searches = None if options.no_searches else galleries.searches_path(gallery.config.id)
    if out is None:
        repo = options.out.removeprefix("hf:")
        address = watched(bundle.push(gallery, repo, options.images, not options.public, searches, options.places))
        say(options, f"gallery '{gallery.name}' is at {address}")
        return {"gallery": gallery.name, "address": address, "private": not options.public}
    spare(options, out)
    packed = watched(bundle.pack(gallery, out, options.images, searches, options.places))
    told = f"gallery '{gallery.name}': {plural(packed.items, 'item')}, {size(packed.bytes)} in {packed.path}"
    say(options, told + (f", with {plural(packed.searches, 'saved search')}" if packed.searches else ""))
    return {"gallery": gallery.name, **asdict(packed)}


def _unpack(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery import bundle

    if options.source.startswith("hf:"):
        work = bundle.pull(options.source.removeprefix("hf:"), options.gallery, library(options))
    else:
        work = bundle.unpack(Path(meant(options.source)), options.gallery, library(options))
    facts = watched(work).facts()
    say(options, f"gallery '{facts.name}': {plural(facts.items, 'item')}, searched with {facts.model}")
    say(options, f"if you have its folder, `{command('index', 'FOLDER', '--gallery', facts.name)}` joins the two")
    return asdict(facts)


def _clip(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery import clip_retrieval

    if options.write:
        refuse(options, "this is for reading, without --write", "images")
    else:
        refuse(options, "this is for --write", "features", "places", "replace", "dim")
        return import_embeddings(options, options.folder, pictures=options.images)
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    work = clip_retrieval.write(gallery, options.folder, options.features, options.dim, options.places, options.replace)
    return _moved(options, watched(work), "written to")


def import_embeddings(
    options: argparse.Namespace, folder: Path, store: str | None = None, pictures: Path | None = None
) -> dict[str, Any]:
    """Add shards of features to the gallery that was asked for, in a ``store`` if one is named."""
    from unifex.gallery import clip_retrieval

    clip_retrieval.shards(folder)  # a wrong folder is told before a model is loaded
    with adding_to(options, store) as gallery:
        work = clip_retrieval.import_embeddings(folder, gallery, pictures)
        return _moved(options, watched(work, goes_on=True), "added, {pictures:,} with their image, to")


def _moved(options: argparse.Namespace, moved: Moved, what: str) -> dict[str, Any]:
    said = what.format(pictures=moved.pictures)
    say(options, f"{plural(moved.rows, 'row')} of {moved.dim} values {said} {moved.path}")
    return asdict(moved)
