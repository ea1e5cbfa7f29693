"""What each source says of each item, side by side: a source that knows less takes nothing away.

Of every field counts what is said, not what is left out. What a list says (a CSV, a data set) comes before what folders
say; of two lists the one that said something new last; of two layouts the one that sees more folders above the image.
So indexing a subfolder of what is there, one file of it or a zip of a part changes no label, whichever came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unifex.data.item import MAX_COLUMNS, Labelled, Labels

TABLE = """
CREATE TABLE IF NOT EXISTS listings (
    item INTEGER NOT NULL, source INTEGER NOT NULL, path TEXT NOT NULL, label TEXT NOT NULL, domain TEXT NOT NULL,
    split TEXT NOT NULL, since INTEGER NOT NULL, extra TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (item, source)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS listings_source ON listings (source);
"""
# In a gallery of an earlier version every item has one source, which says what the item has.
OF_ITEMS = "SELECT id AS item, source, path, label, domain, split, 0 AS since, extra, '' AS tags FROM items"


@dataclass(frozen=True)
class Listing(Labelled):
    """``source`` calls an item ``path``. ``since``: the gallery's version when it said something new of it.

    ``by_layout``: its folders are all that the source knows it by.
    """

    source: int
    path: str
    labels: Labels
    since: int
    by_layout: bool

    @property
    def depth(self) -> int:
        """How many folders above the image domain, label and split tell of."""
        return sum(text.count("/") + 1 for text in (self.domain, self.label, self.split) if text)


@dataclass(frozen=True)
class Settled:
    """What all of an item's sources come to; ``source`` names it."""

    source: int
    path: str
    labels: Labels


def settle(listings: Sequence[Listing]) -> Settled:
    """What an item is called and labelled, from all that its sources say (at least one).

    It has the path that it has in the layout that sees most folders, of several the first.
    """
    by_age = sorted(listings, key=lambda listing: (listing.since, listing.source))
    layouts = [listing for listing in by_age if listing.by_layout]
    lists = [listing for listing in by_age if not listing.by_layout]
    voices = [*reversed(lists), *sorted(layouts, key=lambda listing: listing.depth)[-1:]]
    label, domain, split = (
        next((text for voice in voices if (text := getattr(voice, name))), "") for name in ("label", "domain", "split")
    )
    named = max(by_age, key=lambda listing: listing.depth if listing.by_layout else 0)
    extra = {column: text for voice in reversed(voices) for column, text in voice.labels.extra.items()}
    return Settled(named.source, named.path, Labels(label, domain, split, dict([*extra.items()][-MAX_COLUMNS:])))
