"""Public data sets as a source: ``m4d:DIR``, which is M4D-35k, or a drawn sample of any of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cached_property, partial
from itertools import chain
from urllib.parse import parse_qsl

from unifex.core import images
from unifex.core.language import say
from unifex.core.typed import typed_path
from unifex.data.curation import Rule, choose
from unifex.data.folder import file_item
from unifex.data.item import Item, Options, Skipped, SourceError, SourceKind, Unread
from unifex.data.listed import NOT_FOUND
from unifex.data.public_datasets import DATASETS, Box, Row

MARGIN = 0.02  # of a box's sides is added around a crop, as the public code's preprocessing does


class PublicSets:
    """``m4d:DIR`` or ``m4d:DIR?sets=KEY,KEY&domains=...&classes=...&min_images=...&max_images=...&seed=...``."""

    options = Options()

    def __init__(self, spec: str):
        place, mark, query = spec.removeprefix("m4d:").partition("?")
        there = typed_path(place)
        self.data = there.resolve() if there.is_dir() else there.absolute()
        self.spec = f"m4d:{self.data}{mark}{query}"  # as it can be opened again, from wherever
        asked = dict(parse_qsl(query, keep_blank_values=True))
        keys = [key for key in asked.pop("sets", "m4d_35k").split(",") if key]
        unknown = [key for key in keys if key not in DATASETS]
        if unknown or not keys:
            raise SourceError(
                say(
                    "no data set '{unknown}'; there are: {known}", unknown=", ".join(unknown), known=", ".join(DATASETS)
                )
            )
        self.sets = [DATASETS[key] for key in keys]
        self.rule = _rule(asked)
        for dataset in self.sets:
            if not self.data.is_dir() or dataset.missing(self.data):
                raise SourceError(
                    say(
                        "{title} is not in {folder}: {missing} missing; get it at {url}",
                        title=dataset.title,
                        folder=self.data,
                        missing=", ".join(dataset.missing(self.data)),
                        url=dataset.url,
                    )
                )

    @cached_property
    def rows(self) -> list[Row]:
        """What the rule takes; all of it without one."""
        rows = list(chain.from_iterable(dataset.read(self.data) for dataset in self.sets))
        return choose(rows, self.rule) if self.rule != Rule() else rows

    def count(self) -> int:
        """How many images the tables name and the rule takes."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Item | Skipped]:
        seen: set[tuple[str, Box | None]] = set()
        for row in self.rows:
            if (row.path, row.box) in seen:
                yield Skipped(row.path, say("listed twice"))
                continue
            seen.add((row.path, row.box))
            yield self._item(row)

    def _item(self, row: Row) -> Item | Skipped:
        name = f"{row.path}#{','.join(f'{side:.0f}' for side in row.box)}" if row.box else row.path
        place = (self.data / row.path).resolve()
        if not place.is_relative_to(self.data):
            return Skipped(row.path, say("path leaves the data folder"))
        try:
            item = file_item(place, row.path, False, row.labels)
        except FileNotFoundError:
            return Skipped(row.path, say(NOT_FOUND))
        except OSError as error:
            return Unread(name, str(error.strerror))
        if row.box is None:
            return item
        crop = partial(_cropped, item.read, row.box)
        return Item(f"{item.uri}{name[len(row.path) :]}", name, crop, item.labels, item.stamp, keep=True)


_EARLIER_NAMES = {"least": "min_images", "most": "max_images"}  # galleries remember what they were made from


def _rule(asked: dict[str, str]) -> Rule:
    """Raises ``SourceError`` that names what is wrong and what there is."""
    asked = {_EARLIER_NAMES.get(name, name): value for name, value in asked.items()}
    names = [field.name for field in fields(Rule)]
    unknown = sorted(asked.keys() - set(names))
    if unknown:
        known = ", ".join(names)
        raise SourceError(say("m4d: knows no '{name}'; after ? there are: sets, {known}", name=unknown[0], known=known))
    domains = tuple(domain for domain in asked.pop("domains", "").split(",") if domain)
    try:
        numbers = {name: int(value) for name, value in asked.items()}
    except ValueError:
        written = "&".join(f"{name}={value}" for name, value in asked.items())
        raise SourceError(
            say("m4d: invalid literal in '{written}': all but sets and domains are whole numbers", written=written)
        ) from None
    return Rule(domains, **numbers)


def _cropped(read: Callable[[], bytes], box: Box) -> bytes:
    """JPEG bytes of the box with :data:`MARGIN` around it, within the image. Raises ``images.ImageError``."""
    image = images.decode(read()).image
    left, top, right, bottom = box
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    edges = (
        max(left - across, 0),
        max(top - down, 0),
        min(right + across, image.width),
        min(bottom + down, image.height),
    )
    if edges[2] - edges[0] < 1 or edges[3] - edges[1] < 1:
        raise images.ImageError(say("box {box} is outside of the image", box=box))
    stream = io.BytesIO()
    left, top, right, bottom = map(round, edges)
    image.crop((left, top, right, bottom)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


PUBLIC_SETS = SourceKind(
    "m4d:DIR",
    "m4d:DIR[?sets=...]",
    "M4D-35k or another public data set, below the folder DIR of `m4d:DIR`.",
    lambda spec, options: PublicSets(spec),
    prefix="m4d:",
)
