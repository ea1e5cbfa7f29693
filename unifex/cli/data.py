"""The commands about data sets: ``datasets``, ``curate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unifex.cli.options import TABLE, Parser, UsageError, on_disk
from unifex.cli.shared import check_out, chosen_source, say
from unifex.core import ranges
from unifex.core.console import watched
from unifex.core.errors import UnifexError
from unifex.core.text import plural


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    listed = command(
        "datasets", _datasets, "list M4D-35k and its peers: what they are, where to get them, what is here"
    )
    listed.add_argument("--data", type=Path, metavar="DIR", help="the folder they lie in")
    made = command("curate", _curate, "write a manifest of some classes and images of a source: an M4D of one's own")
    made.add_argument("source", type=on_disk, help="what `index` takes, such as m4d:DIR?sets=gldv2,met_art")
    made.share("--exclude", "--follow-links", "--domain")
    made.share("--out", type=TABLE, help="FILE.csv: path,label,domain,split")
    made.add_argument("--classes", type=ranges.CLASSES, default=0, help="classes of a domain, drawn (default: all)")
    made.add_argument(
        "--min-images", type=ranges.MIN_IMAGES, default=3, help="that a class must have (default 3, as the paper)"
    )
    made.add_argument("--max-images", type=ranges.MAX_IMAGES, default=0, help="of a class, drawn (default: all)")
    made.share("--seed", help="of what is drawn")
    made.add_argument("--keep-copies", action="store_true", help="images with the same bytes stay, and none is read")


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

    if 0 < options.max_images < options.min_images:
        raise UsageError(f"--min-images {options.min_images} must be not above --max-images {options.max_images}")
    rule = Rule(tuple(options.domain), options.classes, options.min_images, options.max_images, options.seed)
    source = chosen_source(options)
    check_out(options, options.out, [b"path,label,domain,split"], source.spec)
    curated = watched(curate(source, rule, options.out, options.keep_copies))
    for entry in curated.refused:
        say(options, f"  {entry.path}: {entry.reason}")
    say(options, f"{'domain':32}{'classes':>9}{'images':>10}{'smallest':>10}{'median':>8}{'largest':>9}")
    for name, row in curated.domains.items():
        sizes = f"{row.classes:9,}{row.images:10,}{row.smallest:10,}{row.median:8g}{row.largest:9,}"
        say(options, f"{(name or 'no domain')[:31]:32}{sizes}")
    counts = f"{plural(curated.images, 'image')} of {plural(curated.classes, 'class')}"
    say(options, f"{counts} in {curated.path}; {plural(curated.copies, 'copy')} left out")
    return asdict(curated)
