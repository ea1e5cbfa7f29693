"""The command ``export-gallery``."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.cli.filtering import add_filters, chosen_filters
from unifex.cli.options import OF_GALLERY, Parser, UsageError, named
from unifex.cli.shared import chosen_embedder, library, say, spare
from unifex.core.console import watched
from unifex.core.text import plural, size

if TYPE_CHECKING:
    from unifex.exports.export import Exported
    from unifex.exports.format import Format
    from unifex.exports.selection import Selection
    from unifex.gallery.gallery import Gallery

TO = ("csv", "files", "imagefolder", "dataset", "coco", "fiftyone", "atlas", "projector", "html")
IMAGES = ("originals", "only-originals", "thumbnails")


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    export = command(
        "export-gallery",
        _export,
        "write a gallery, or some of its items, as other programs read it (docs/exports.md)",
        model=OF_GALLERY,
    )
    export.add_argument("gallery")
    export.add_argument("--to", required=True, choices=TO, metavar="FORMAT", help=f"one of {', '.join(TO)}")
    export.share("--out", help="the folder, or the file, to make; for `dataset` also hf:OWNER/NAME")
    export.add_argument("--replace", action="store_true", help="where an export is there already, in its place")
    export.add_argument(
        "--images",
        choices=IMAGES,
        help="originals: the image files, and thumbnails of those that are gone (default); only-originals: without "
        "those; thumbnails: nothing else",
    )
    export.add_argument("--item", action="append", default=[], metavar="PATH", help="only this item (may be repeated)")
    export.add_argument(
        "--corrected", action="store_true", help="only items whose label was corrected, with what the source says"
    )
    export.add_argument("--places", action="store_true", help="also where pictures were taken (latitude, longitude)")
    add_filters(export)
    export.share("--dim", "--public")


def _export(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.exports.export import export
    from unifex.exports.formats import format_named

    format = format_named(options.to)
    if options.images and not format.images:
        raise UsageError(f"--images is nothing for --to {format.name}, which holds no image files")
    to_hub = options.out.startswith("hf:")
    out = Path(options.out) if to_hub else named(options.out, format.suffix)
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    spare(options, out)
    selection = _selection(options, gallery)
    if to_hub:
        return _push(options, selection, format)
    exported = watched(export(selection, format, out, options.replace))
    _tell(options, gallery, exported)
    return {"gallery": gallery.name, **asdict(exported)}


def _selection(options: argparse.Namespace, gallery: Gallery) -> Selection:
    from unifex.exports.selection import Selection

    filters = chosen_filters(options, within=frozenset(gallery.item_at(path).id for path in options.item))
    filters.check_known(gallery)
    snapshot = gallery.snapshot()
    mask = filters.mask(snapshot)
    ids = snapshot.columns.ids if mask is None else snapshot.columns.ids[mask]
    images = options.images or IMAGES[0]
    return Selection.of(gallery, ids, images, options.dim, options.corrected, places=options.places)


def _tell(options: argparse.Namespace, gallery: Gallery, exported: Exported) -> None:
    what = f"{plural(exported.items, 'item')}, {size(exported.bytes)} in {exported.path} ({exported.format})"
    say(options, f"gallery '{gallery.name}': {what}")
    if exported.stand_ins:
        say(options, f"{plural(exported.stand_ins, 'thumbnail')} in place of an image file that is gone or has changed")
    if exported.left_out:
        say(options, f"{plural(exported.left_out, 'item')} left out, whose image is not to be had")
    for note in exported.notes:
        say(options, note)


def _push(options: argparse.Namespace, selection: Selection, format: Format) -> dict[str, Any]:
    """Put a data set on the hub."""
    from unifex.data.tree import EXPORT_MARK
    from unifex.exports.export import export
    from unifex.exports.hub_dataset import SHARDS
    from unifex.models import hub

    repo = options.out.removeprefix("hf:")
    if format.name != "dataset":
        raise UsageError("what goes to the hub is a data set: --to dataset")
    hub.check_push(repo, "dataset", not options.public)
    with tempfile.TemporaryDirectory(prefix="unifex-export-") as scratch:
        exported = watched(export(selection, format, Path(scratch) / "dataset"))
        made = Path(scratch) / "dataset"
        address = hub.push(made, repo, "dataset", not options.public, SHARDS, EXPORT_MARK)
    exported = replace(exported, path=address)
    _tell(options, selection.gallery, exported)
    return {"gallery": selection.gallery.name, **asdict(exported)}
