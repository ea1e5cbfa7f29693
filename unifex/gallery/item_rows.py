"""What happens to the rows of items within one transaction; :class:`~unifex.gallery.writer.Writer` makes these."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unifex.data.item import Item, Labels
from unifex.gallery import listings, tags
from unifex.gallery.listings import Listing
from unifex.gallery.records import Embedded

GONE = "gone:"  # begins the uri of an item whose place shows something else, until its content is found elsewhere


def one(connection: sqlite3.Connection, query: str, *values: object) -> Any:
    """The first value of the first row; None without any."""
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def insert(connection: sqlite3.Connection, source: int, batch: Sequence[Embedded]) -> list[int]:
    """Ids of new items; a replaced one is new as well: an id always means the same image."""
    query = (
        "INSERT INTO items (uri, path, sha256, label, domain, split, extra, stamp, source) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    rows = ((e.item.uri, e.item.path, e.sha256, *e.item.labels.row, e.item.stamp, source) for e in batch)
    return [connection.execute(query, row).lastrowid or 0 for row in rows]


def vacate(connection: sqlite3.Connection, wanted: dict[str, int]) -> bool:
    """Whoever is at these places, but for the item that is to be there, gets out of the way; whether anybody was."""
    vacated = False
    for uri, stays in wanted.items():
        there = one(connection, "SELECT id FROM items WHERE uri = ?", uri)
        if there not in (None, stays):
            make_way(connection, there)
            vacated = True
    return vacated


def make_way(connection: sqlite3.Connection, item: int) -> None:
    """An item leaves its place, until it is found elsewhere or :meth:`Writer.drop_left` removes it."""
    uri = one(connection, "SELECT uri FROM items WHERE id = ?", item)
    rename(connection, item, f"{GONE}{item}:{uri}")


def rename(connection: sqlite3.Connection, item: int, uri: str) -> None:
    """Give an item another uri; what people said of it goes with it."""
    before = one(connection, "SELECT uri FROM items WHERE id = ?", item)
    connection.execute("UPDATE items SET uri = ? WHERE id = ?", (uri, item))
    connection.execute("UPDATE OR REPLACE corrections SET uri = ? WHERE uri = ?", (uri, before))
    connection.execute("UPDATE OR REPLACE corrections SET other_uri = ? WHERE other_uri = ?", (uri, before))


def move(connection: sqlite3.Connection, item: int, uri: str, stamp: str) -> None:
    """An item is found at another place. What folders said of the old one no longer holds; lists know better."""
    rename(connection, item, uri)
    connection.execute("UPDATE items SET stamp = ? WHERE id = ?", (stamp, item))
    connection.execute(
        "DELETE FROM listings WHERE item = ? AND source IN (SELECT id FROM sources WHERE by_layout)", (item,)
    )


def list_items(connection: sqlite3.Connection, source: int, items: Iterable[tuple[int, Item]]) -> None:
    """Note what a source says of items by id. Saying the same again is nothing new; of tags what is new is given, and
    what is said no more is taken away. A source that is none any more has nothing to say beside it."""
    items = list(items)
    of_none = "DELETE FROM listings WHERE item = ? AND source NOT IN (SELECT id FROM sources)"
    connection.executemany(of_none, [(item,) for item, _ in items])
    _retag(connection, source, items)
    now = one(connection, "SELECT version FROM state")
    connection.executemany(
        "INSERT INTO listings (item, source, path, label, domain, split, extra, tags, since) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (item, source) DO UPDATE SET "
        "path = excluded.path, label = excluded.label, domain = excluded.domain, split = excluded.split, "
        "extra = excluded.extra, tags = excluded.tags, since = CASE WHEN (label, domain, split, extra) = "
        "(excluded.label, excluded.domain, excluded.split, excluded.extra) THEN since ELSE excluded.since END",
        [(item, source, i.path, *i.labels.row, tags.as_row(i.tags), now) for item, i in items],
    )


def _retag(connection: sqlite3.Connection, source: int, items: Sequence[tuple[int, Item]]) -> None:
    query = "SELECT tags FROM listings WHERE item = ? AND source = ?"
    for item, now in items:
        before = tags.of_row(one(connection, query, item, source) or "")
        tags.give(connection, [(item, tag) for tag in now.tags if tag not in before])
        tags.take_away(connection, [item], [tag for tag in before if tag not in now.tags])


def settle(connection: sqlite3.Connection, items: Iterable[int]) -> int:
    """Give items the path and labels that follow from what is listed of them; how many labels changed."""
    query = (
        "SELECT label, domain, split, extra, source, path, since, COALESCE(by_layout, 0) "
        "FROM listings LEFT JOIN sources ON sources.id = source WHERE item = ?"
    )
    relabelled = 0
    for item in items:
        said = listings.settle(
            [
                Listing(source, path, _labels(label, domain, split, extra), *rest)
                for label, domain, split, extra, source, path, *rest in connection.execute(query, (item,))
            ]
        )
        known = "SELECT uri, source, path, label, domain, split, extra FROM items WHERE id = ?"
        uri, source, path, *labels = connection.execute(known, (item,)).fetchone()
        relabelled += tuple(labels[:3]) != said.labels.row[:3]
        if (source, path, *labels) != (said.source, said.path, *said.labels.row):
            connection.execute(
                "UPDATE items SET source = ?, path = ?, label = ?, domain = ?, split = ?, extra = ? WHERE id = ?",
                (said.source, said.path, *said.labels.row, item),
            )
        if path != said.path:
            connection.execute("UPDATE corrections SET path = ? WHERE uri = ?", (said.path, uri))
            connection.execute("UPDATE corrections SET other_path = ? WHERE other_uri = ?", (said.path, uri))
    return relabelled


def _labels(label: str, domain: str, split: str, extra: str) -> Labels:
    """Further columns that somebody has damaged are none: what is indexed next says them again."""
    try:
        return Labels.from_row(label, domain, split, extra)
    except ValueError:
        return Labels(label, domain, split)


def adopt_corrections(connection: sqlite3.Connection, batch: Sequence[Embedded]) -> None:
    """A correction belongs to an image: one whose item is no more goes to a new item of the same image."""
    orphans = connection.execute(
        "SELECT sha256, kind, uri, other_uri FROM corrections WHERE NOT EXISTS "
        "(SELECT 1 FROM items WHERE items.uri = corrections.uri AND items.sha256 = corrections.sha256)"
    ).fetchall()
    new = {entry.sha256: entry.item for entry in reversed(batch)} if orphans else {}
    for sha256, *said in orphans:
        if item := new.get(sha256):
            connection.execute(
                "UPDATE OR IGNORE corrections SET uri = ?, path = ? WHERE kind = ? AND uri = ? AND other_uri = ?",
                (item.uri, item.path, *said),
            )


def succeed(connection: sqlite3.Connection, before: int, item: int) -> None:
    """An item shows the same picture as the one that was at its place before: what sources and people said goes with
    it, where nothing is said of it yet."""
    query = "SELECT uri, path, sha256 FROM items WHERE id = ?"
    was, now = (connection.execute(query, (id,)).fetchone() for id in (before, item))
    connection.execute(
        "UPDATE OR IGNORE corrections SET uri = ?, path = ?, sha256 = ? WHERE uri = ? AND sha256 = ?",
        (*now, was[0], was[2]),
    )
    connection.execute(
        "UPDATE OR IGNORE corrections SET other_uri = ?, other_path = ? WHERE other_uri = ?", (*now[:2], was[0])
    )
    connection.execute("UPDATE OR IGNORE listings SET item = ? WHERE item = ?", (item, before))
    connection.execute("UPDATE OR IGNORE tags SET item = ?, sha256 = ? WHERE item = ?", (item, now[2], before))


def said_of(connection: sqlite3.Connection, item: int, successor: int | None) -> tuple[int, int]:
    """How many corrections an item has, and tags that the one at its place has not."""
    corrected = "SELECT COUNT(*) FROM corrections JOIN items USING (uri, sha256) WHERE items.id = ?"
    tagged = "SELECT COUNT(*) FROM tags WHERE item = ? AND tag NOT IN (SELECT tag FROM tags WHERE item = ?)"
    return one(connection, corrected, item), connection.execute(tagged, (item, successor)).fetchone()[0]


def join(connection: sqlite3.Connection, stays: int, goes: int) -> None:
    """Two items turn out to be one: what was said of the one that goes is said of the other, where that is free."""
    uris = [one(connection, "SELECT uri FROM items WHERE id = ?", item) for item in (stays, goes)]
    connection.execute("UPDATE OR IGNORE corrections SET uri = ? WHERE uri = ?", uris)
    connection.execute("UPDATE OR IGNORE listings SET item = ? WHERE item = ?", (stays, goes))
    tags.join(connection, stays, goes)
    delete(connection, [goes])


def new_source(connection: sqlite3.Connection) -> int:
    """An id that no source has, and that nothing names which one left behind: SQLite gives the largest again."""
    named = (("id", "sources"), ("source", "listings"), ("source", "refused"))
    return 1 + max(one(connection, f"SELECT MAX({column}) FROM {table}") or 0 for column, table in named)


def relocate_sources(connection: sqlite3.Connection, moving: Mapping[int, str]) -> None:
    """Give sources other specs, by id; one that has such a spec already is the same."""
    for source in moving:  # first all of them: one may be where another is to be, or where it is itself
        connection.execute("UPDATE sources SET spec = ? || id || ':' || spec WHERE id = ?", (GONE, source))
    for source, spec in moving.items():
        there = one(connection, "SELECT id FROM sources WHERE spec = ?", spec)
        if there is not None:
            for table in ("listings", "refused"):
                connection.execute(f"UPDATE OR REPLACE {table} SET source = ? WHERE source = ?", (source, there))
            connection.execute("DELETE FROM sources WHERE id = ?", (there,))
        connection.execute("UPDATE sources SET spec = ? WHERE id = ?", (spec, source))


def delete(connection: sqlite3.Connection, items: Iterable[int]) -> None:
    """Remove items, and what is listed of them; their images stay."""
    rows = [(int(item),) for item in items]
    connection.executemany("DELETE FROM items WHERE id = ?", rows)
    connection.executemany("DELETE FROM listings WHERE item = ?", rows)
