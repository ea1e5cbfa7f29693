"""A training set out of larger ones: which classes and images to take, without copies, and the manifest of it.

As the paper made M4D-35k (arXiv 2409.13513, section 3.1): choose domains, drop classes with too few images, cap those
with very many, limit the classes of a domain.
"""

from __future__ import annotations

import os
import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

from unifex.core import images, ranges
from unifex.core.files import write_atomically
from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.core.tables import to_csv
from unifex.core.text import has_control, reason
from unifex.data.column_names import beside
from unifex.data.item import Item, Labelled, Skipped, Source, SourceError
from unifex.data.listed import path_cell
from unifex.data.manifest import is_known

Anything = TypeVar("Anything", bound=Labelled)


@dataclass(frozen=True)
class Rule:
    """What to take. ``domains`` empty: all; ``classes`` of a domain and ``max_images`` of a class: 0 for all.

    Classes with fewer than ``min_images`` are skipped. What is drawn depends on ``seed`` alone.
    """

    domains: tuple[str, ...] = ()
    classes: int = 0
    min_images: int = 1
    max_images: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        ranges.CLASSES.check(self.classes)
        ranges.MIN_IMAGES.check(self.min_images)
        ranges.MAX_IMAGES.check(self.max_images)
        ranges.SEED.check(self.seed)
        if 0 < self.max_images < self.min_images:
            raise SourceError(
                say(
                    "min_images ({least}) must be not above max_images ({most})",
                    least=self.min_images,
                    most=self.max_images,
                )
            )


@dataclass(frozen=True)
class DomainStatistics:
    """``images`` of ``classes``; the smallest, the median and the largest class."""

    classes: int
    images: int
    smallest: int
    median: float
    largest: int


@dataclass(frozen=True)
class Curated:
    """Where the manifest is and what it holds; ``copies`` were left out."""

    path: str
    images: int
    classes: int
    copies: int
    refused: list[Skipped]
    domains: dict[str, DomainStatistics]


def choose(items: Sequence[Anything], rule: Rule) -> list[Anything]:
    """The items that a rule takes, in their order; unlabelled ones never."""
    classes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        if item.label and (not rule.domains or item.domain in rule.domains):
            classes[item.domain, item.label].append(place)
    by_domain: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key in sorted(key for key, places in classes.items() if len(places) >= rule.min_images):
        by_domain[key[0]].append(key)
    draw = random.Random(rule.seed)
    taken: list[int] = []
    for keys in by_domain.values():
        for key in _drawn(draw, keys, rule.classes):
            taken += _drawn(draw, classes[key], rule.max_images)
    return [items[place] for place in sorted(taken)]


def _drawn(draw: random.Random, things: list, count: int) -> list:
    return draw.sample(things, count) if 0 < count < len(things) else things


def statistics(items: Sequence[Labelled]) -> dict[str, DomainStatistics]:
    """Per domain, by name."""
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        sizes[item.domain][item.label] += 1
    return {
        domain: DomainStatistics(len(n), n.total(), min(n.values()), median(n.values()), max(n.values()))
        for domain, n in sorted(sizes.items())
    }


def lookalikes(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only in case, Unicode form or spaces: likely one thing, written in several ways."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        groups["".join(unicodedata.normalize("NFKC", name).casefold().split())].append(name)
    return [group for group in groups.values() if len(group) > 1]


def curate(source: Source, rule: Rule, out: Path, keep_copies: bool = False) -> Work[Curated]:
    """Write the manifest of what a rule takes from a source.

    Images with the same bytes are kept once, unless ``keep_copies``; under two labels, not at all: one of the two is
    wrong. A class that copies leave too small goes. Images that have no file of their own (archives, crops) are written
    into a folder beside the manifest. Raises ``SourceError`` when nothing is left.
    """
    found = list(source)
    refused = [entry for entry in found if isinstance(entry, Skipped)]
    items = choose([entry for entry in found if isinstance(entry, Item)], rule)
    copies = 0
    if not keep_copies:
        hashes: dict[str, list[Item]] = defaultdict(list)
        stage = Stage(to_say("looking for copies"), len(items), to_say("images"))
        for done, item in enumerate(items):
            yield stage.at(done)
            try:
                hashes[images.content_hash(item.read())].append(item)
            except (OSError, images.ImageError) as error:
                refused.append(Skipped(item.path, say("cannot be read ({reason})", reason=reason(error))))
        once = {same[0].uri for same in hashes.values() if len({(item.domain, item.label) for item in same}) == 1}
        copies = sum(len(same) for same in hashes.values()) - len(once)
        items = choose([item for item in items if item.uri in once], rule)
    if not items:
        raise SourceError(
            say(
                "nothing of {source} is left: no class in these domains has {least} images",
                source=source.spec,
                least=rule.min_images,
            )
        )
    _write(items, out)
    classes = len({(item.domain, item.label) for item in items})
    return Curated(str(out), len(items), classes, copies, refused, statistics(items))


def _write(items: Sequence[Item], out: Path) -> None:
    """``path,label,domain,split``, tags and whatever else is said of them, with paths relative to the manifest."""
    out.parent.mkdir(parents=True, exist_ok=True)
    further = list(dict.fromkeys(column for item in items for column in item.labels.extra))
    tagged = ["tags"] if any(item.tags for item in items) else []
    rows = [
        [
            *(_file_of(item, out), item.label, item.domain, item.split),
            *(", ".join(item.tags) for _ in tagged),
            *(item.labels.extra.get(column, "") for column in further),
        ]
        for item in items
    ]
    names = [beside(column, is_known) for column in further]
    table = to_csv(["path", "label", "domain", "split", *tagged, *names], rows)
    write_atomically(out, table.encode())


def _file_of(item: Item, out: Path) -> str:
    """Where a manifest finds an image; one without a file of its own is written beside it."""
    place = Path(item.uri)
    if item.keep or not place.is_file():
        data = item.read()
        place = out.parent / f"{out.stem}-images" / f"{images.content_hash(data)}.jpg"
        place.parent.mkdir(exist_ok=True)
        write_atomically(place, data)
    try:
        path = Path(os.path.relpath(place.absolute(), out.parent.absolute())).as_posix()
    except ValueError:  # on Windows there is no way from one drive to another
        path = place.absolute().as_posix()
    # any program finds it so, where a guard would be in its way
    return f"./{path}" if path[0] in "=+-@'" and not has_control(path) else path_cell(path)
