"""The commands about data from and for elsewhere: ``datasets``, ``curate``, ``pack``, ``unpack``, ``clip``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.cli.shared import (
    add_reading,
    chosen_embedder,
    chosen_source,
    embedder,
    library,
    new_file,
    place,
    say,
)
from unifex.core import ranges
from unifex.core.console import watched
from unifex.core.errors import UnifexError

if TYPE_CHECKING:
    from unifex.core.progress import Work
    from unifex.gallery.clip_retrieval import Moved


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add their parsers; ``command`` makes one."""
    listed = command(
        "datasets", _datasets, "list M4D-35k and its peers: what they are, where to get them, what is here"
    )
    listed.add_argument("--data", type=Path, metavar="DIR", help="the folder they lie in")
    made = command("curate", _curate, "write a manifest of some classes and images of a source: an M4D of one's own")
    made.add_argument("source", help="what `index` takes, such as m4d:DIR?sets=gldv2,met_art")
    add_reading(made)
    made.add_argument("--out", required=True, type=new_file, help="FILE.csv: path,label,domain,split")
    made.add_argument("--domain", action="append", default=[], help="only this domain (may be repeated)")
    made.add_argument("--classes", type=ranges.CLASSES, default=0, help="classes of a domain, drawn (default: all)")
    made.add_argument(
        "--least", type=ranges.LEAST_IMAGES, default=3, help="images that a class must have (default 3, as the paper)"
    )
    made.add_argument("--most", type=ranges.MOST_IMAGES, default=0, help="images of a class, drawn (default: all)")
    made.add_argument("--seed", type=ranges.SEED, default=0, help="of what is drawn")
    made.add_argument("--keep-copies", action="store_true", help="images with the same bytes stay, and none is read")

    forgotten = command("forget", _forget, "forget a source of a gallery, with the items that no other source has")
    forgotten.add_argument("source", help="as it was indexed; `info` lists them")
    forgotten.add_argument("--gallery", required=True, help="name of the gallery")
    relocated = command("relocate", _relocate, "tell a gallery that a folder, disk or file lies elsewhere now")
    relocated.add_argument("old", help="where it was when it was indexed")
    relocated.add_argument("new", help="where it is")
    relocated.add_argument("--gallery", required=True, help="name of the gallery")

    packed = command("pack", _pack, "write a gallery as one zip that opens elsewhere, or put it on the hub")
    packed.add_argument("gallery")
    packed.add_argument("--out", required=True, type=place, help="FILE.zip or hf:OWNER/NAME")
    packed.add_argument("--images", action="store_true", help="the images themselves, too, not only thumbnails")
    packed.add_argument("--public", action="store_true", help="on the hub, for everyone to see (default: private)")
    taken = command("unpack", _unpack, "make a gallery of what `pack` wrote")
    taken.add_argument("source", metavar="FILE.zip|hf:OWNER/NAME")
    taken.add_argument("--gallery", required=True, help="name of the new gallery")

    clip = command("clip", _clip, "clip-retrieval's layout (img_emb_N.npy + metadata_N.parquet): read it, or write it")
    clip.add_argument("folder", type=Path)
    clip.add_argument("--gallery", required=True, help="to add to (its --model must have made the embeddings)")
    clip.add_argument("--images", type=Path, metavar="DIR", help="where its images lie, if not in the folder")
    clip.add_argument("--write", action="store_true", help="write the gallery there instead")
    clip.add_argument("--features", action="store_true", help="with --write: the backbone's features, not embeddings")
    clip.add_argument(
        "--dim", type=ranges.DIMENSION, help="with --write: length of the embeddings (default: the gallery's)"
    )


def _datasets(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.data.public_datasets import DATASETS

    if options.data and not options.data.is_dir():
        raise UnifexError(f"--data: there is no folder '{options.data}'")
    found = []
    for dataset in DATASETS.values():
        missing = dataset.missing(options.data) if options.data else list(dataset.needs)
        here = bool(options.data) and not missing
        found.append(
            {
                "key": dataset.key,
                "title": dataset.title,
                "domain": dataset.domain,
                "classes": dataset.classes,
                "images": dataset.images,
                "licence": dataset.licence,
                "url": dataset.url,
                "here": here,
                "missing": missing,
            }
        )
        counts = ", ".join(
            f"{count:,} {what}" for count, what in ((dataset.classes, "classes"), (dataset.images, "images")) if count
        )
        say(
            options,
            f"{dataset.key:16}{dataset.title}: {dataset.domain}{'; ' if counts else ''}{counts}; {dataset.licence}",
        )
        say(options, f"{'':16}{dataset.url}")
        say(options, f"{'':16}{'here' if here else 'needs ' + ', '.join(missing)}")
    if not options.data:
        say(
            options,
            "\n--data DIR tells which are there; `index m4d:DIR?sets=KEY --gallery NAME` makes a gallery of one.",
        )
    return {"data": str(options.data or ""), "datasets": found}


def _curate(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.data.curation import Rule, curate

    rule = Rule(tuple(options.domain), options.classes, options.least, options.most, options.seed)
    curated = watched(curate(chosen_source(options), rule, options.out, options.keep_copies))
    for entry in curated.refused:
        say(options, f"  {entry.path}: {entry.reason}")
    say(options, f"{'domain':32}{'classes':>9}{'images':>10}{'smallest':>10}{'median':>8}{'largest':>9}")
    for name, row in curated.domains.items():
        sizes = f"{row.classes:9,}{row.images:10,}{row.smallest:10,}{row.median:8g}{row.largest:9,}"
        say(options, f"{(name or 'no domain')[:31]:32}{sizes}")
    counts = f"{curated.images:,} images of {curated.classes:,} classes"
    say(options, f"{counts} in {curated.path}; {curated.copies:,} copies left out")
    return asdict(curated)


def _forget(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.core.text import plural
    from unifex.gallery.indexing import forget

    gallery = library(options).get(options.gallery)
    removed = forget(gallery, options.source)
    say(options, f"'{options.source}' is forgotten: {plural(removed, 'item')} removed, {len(gallery)} left")
    return {"gallery": gallery.name, "source": options.source, "removed": removed, "items": len(gallery)}


def _relocate(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.core.text import plural
    from unifex.gallery.indexing import relocate

    gallery = library(options).get(options.gallery)
    outcome = relocate(gallery, options.old, options.new)
    say(options, f"{plural(outcome.items, 'item')} of '{options.old}' are at '{options.new}' now")
    return {"gallery": gallery.name, "old": options.old, "new": options.new, **asdict(outcome)}


def _pack(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.core.text import plural, size
    from unifex.gallery import bundle

    gallery = library(options).get(options.gallery)
    if options.out.startswith("hf:"):
        repo = options.out.removeprefix("hf:")
        address = watched(bundle.push(gallery, repo, options.images, not options.public))
        say(options, f"gallery '{gallery.name}' is at {address}")
        return {"gallery": gallery.name, "address": address, "private": not options.public}
    packed = watched(bundle.pack(gallery, Path(options.out), options.images))
    say(options, f"gallery '{gallery.name}': {plural(packed.items, 'item')}, {size(packed.bytes)} in {packed.path}")
    return {"gallery": gallery.name, **asdict(packed)}


def _unpack(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.core.text import plural
    from unifex.gallery import bundle

    if options.source.startswith("hf:"):
        work = bundle.pull(options.source.removeprefix("hf:"), options.gallery, library(options))
    else:
        work = bundle.unpack(Path(options.source), options.gallery, library(options))
    facts = watched(work).facts()
    say(options, f"gallery '{facts.name}': {plural(facts.items, 'item')}, searched with {facts.model}")
    return asdict(facts)


def _clip(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery import clip_retrieval

    if not options.write:
        return take_in(options, options.folder, pictures=options.images)
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    return _moved(options, clip_retrieval.write(gallery, options.folder, options.features, options.dim), "written to")


def take_in(
    options: argparse.Namespace, folder: Path, store: str | None = None, pictures: Path | None = None
) -> dict[str, Any]:
    """Add shards of features to the gallery that was asked for, in a ``store`` if one is named."""
    from unifex.gallery import clip_retrieval

    clip_retrieval.shards(folder)  # a wrong folder must not leave an empty gallery behind
    galleries = library(options)
    galleries.get_or_create(options.gallery, lambda: embedder(options))
    if store:
        galleries.move_to(options.gallery, store)
    gallery = galleries.get(options.gallery, chosen_embedder(options))
    work = clip_retrieval.take_in(folder, gallery, pictures)
    return _moved(options, work, "added, {pictures:,} with their image, to")


def _moved(options: argparse.Namespace, work: Work[Moved], what: str) -> dict[str, Any]:
    moved = watched(work)
    said = what.format(pictures=moved.pictures)
    say(options, f"{moved.rows:,} rows of {moved.dim} values {said} {moved.path}")
    return asdict(moved)
