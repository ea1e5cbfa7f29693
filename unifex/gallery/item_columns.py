"""The columns of all items, read from the database; of items that are known already, only of those that came since.

A million rows take seconds, and most commits do no more than add some.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict

import numpy as np

from unifex.core.metadata import TAKEN, columns_of_row
from unifex.gallery import tags
from unifex.gallery.snapshot import ITEM, CategoricalColumn, FurtherColumns, ItemTable

_SHOWN = "SELECT id, sha256, domain, split, label FROM shown WHERE id > ? ORDER BY id"
_STILL = "SELECT id, picture FROM items WHERE picture > '' AND typeof(picture) = 'text' AND id > ? ORDER BY id"
_DATED = (
    "SELECT id, taken FROM features JOIN items USING (sha256) WHERE taken > '' AND typeof(taken) = 'text' AND id > ?"
)
_DESCRIBED = "SELECT id, metadata FROM features JOIN items USING (sha256) WHERE metadata > '' AND id > ?"
_LISTED = "SELECT id, path, extra FROM items WHERE id > ? ORDER BY id"


def item_table(database: sqlite3.Connection, known: ItemTable | None = None) -> ItemTable:
    """All items as the connection's transaction sees them; ``known``: as they were at an earlier commit."""
    now = version(database)
    known = known if known and has_only_grown(database, known.version) else None
    ids, hashes, domains, splits, labels = [], [], [], [], []
    since = (_last(known.ids if known else None),)
    for id, sha256, domain, split, label in database.execute(_SHOWN, since):
        ids.append(id)  # one by one: a million rows at once cost half the time more
        hashes.append(sha256)
        domains.append(domain)
        splits.append(split)
        labels.append(label)
    texts = map(CategoricalColumn.of, (domains, splits, labels))
    still = np.array([(id, picture.encode()) for id, picture in database.execute(_STILL, since)], ITEM)
    found = ItemTable(now, np.array(ids, np.int64), np.array(hashes, "S64"), *texts, still=still)
    return known.followed_by(found) if known else found


def further_columns(
    database: sqlite3.Connection, ids: np.ndarray, known: tuple[int, FurtherColumns] | None = None
) -> FurtherColumns:
    """Of the items with these ascending ids int64 [N], as the connection's transaction sees them; ``known``: at an
    earlier commit, the columns of the first of them. Raises ValueError for what is no further column.
    """
    before = known[1] if known and len(known[1]) <= len(ids) and has_only_grown(database, known[0]) else None
    there = len(before) if before else 0
    since = (_last(ids[:there]),)
    dated = database.execute(_DATED, since).fetchall()
    described = database.execute(_DESCRIBED, since).fetchall()
    further = FurtherColumns.of(ids[there:], database.execute(_LISTED, since)).with_one(TAKEN, ids[there:], dated)
    said: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for id, others in described:
        for column, text in columns_of_row("", others).items():
            said[column].append((id, text))
    for column, texts in said.items():
        further = further.with_one(column, ids[there:], texts)
    tagged = tags.TagColumn.of(ids, database.execute(tags.SHOWN).fetchall())
    return (before.followed_by(further) if before else further).with_tags(tagged)


def version(database: sqlite3.Connection) -> int:
    """Which commit is the last that a connection sees."""
    return database.execute("SELECT version FROM state").fetchone()[0]


def has_only_grown(database: sqlite3.Connection, since: int) -> bool:
    """Whether the items of a commit are as they were then: what came since came after them."""
    now, changed = database.execute("SELECT version, changed FROM state").fetchone()
    return changed <= since <= now


def _last(ids: np.ndarray | None) -> int:
    """The id after which others come."""
    return int(ids[-1]) if ids is not None and len(ids) else 0
