"""What happens to the rows of items within one transaction; :class:`~unifex.gallery.writer.Writer` makes these."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unifex.data.item import Item, Labels
from unifex.gallery import corrections, listings, tags
from unifex.gallery.listings import Listing
from unifex.gallery.records import Embedded, Registered

PACKED = "bundle:"  # begins the uri of an item that came in a packed gallery: its image lies nowhere here
GONE = "gone:"  # begins the uri of an item whose place shows something else, until its content is found elsewhere


def one(connection: sqlite3.Connection, query: str, *values: object) -> Any:
    """The first value of the first row; None without any."""
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def insert(connection: sqlite3.Connection, source: int, batch: Sequence[Embedded]) -> list[int]:
    """Ids of new items; a replaced one is new as well, until :func:`succeed` finds it to be of the same picture."""
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


def at(connection: sqlite3.Connection, uri: str) -> tuple[int, str] | None:
    """Id and sha256 of the item at a place."""
    return connection.execute("SELECT id, sha256 FROM items WHERE uri = ?", (uri,)).fetchone()


def make_way(connection: sqlite3.Connection, item: int) -> None:
    """An item leaves its place, until it is found elsewhere or :meth:`Writer.drop_left` removes it."""
    uri = one(connection, "SELECT uri FROM items WHERE id = ?", item)
    rename(connection, item, f"{GONE}{item}:{uri}")


def rename(connection: sqlite3.Connection, item: int, uri: str) -> None:
    """Give an item another uri; what people said of it goes with it."""
    before, sha256 = connection.execute("SELECT uri, sha256 FROM items WHERE id = ?", (item,)).fetchone()
    connection.execute("UPDATE items SET uri = ? WHERE id = ?", (uri, item))
    say_of(connection, (before, sha256), (uri, sha256), "REPLACE")


def say_of(connection: sqlite3.Connection, before: tuple[str, str], now: tuple[str, str], conflict: str) -> None:
    """What people said of an image at a place they say of one at another, both as uri and sha256; two of a pair that
    are one by now are none. ``conflict``: REPLACE or IGNORE what is said there already."""
    for of in ("", "other_"):
        connection.execute(
            f"UPDATE OR {conflict} corrections SET {of}uri = ?, {of}sha256 = ? WHERE {of}uri = ? AND {of}sha256 = ?",
            (*now, *before),
        )
    connection.execute(
        "DELETE FROM corrections WHERE uri = ? AND sha256 = ? AND other_uri = uri AND other_sha256 = sha256", now
    )


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
    now = one(connection, "SELECT version FROM state")
    for item, said in items:
        _list(connection, item, source, (said.path, *said.labels.row), said.tags, now)


_LISTED = "item, source, path, label, domain, split, extra, tags, since"
_LIST = f"""INSERT INTO listings ({_LISTED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (item, source) DO UPDATE SET
    path = excluded.path, label = excluded.label, domain = excluded.domain, split = excluded.split,
    extra = excluded.extra, tags = excluded.tags, since = CASE WHEN (label, domain, split, extra) =
    (excluded.label, excluded.domain, excluded.split, excluded.extra) THEN since ELSE excluded.since END"""


def _list(
    connection: sqlite3.Connection, item: int, source: int, said: Sequence[str], given: Sequence[str], since: int
) -> None:
    """Note what a source says of an item since a version: path and ``Labels.row``, and the tags that it gives."""
    _retag(connection, source, item, given)
    connection.execute(_LIST, (item, source, *said, tags.as_row(given), since))


def _retag(connection: sqlite3.Connection, source: int, item: int, said: Sequence[str]) -> None:
    """A source that said other tags of an item says these; what others say, or its file, is not taken away."""
    before = tags.of_row(one(connection, "SELECT tags FROM listings WHERE item = ? AND source = ?", item, source) or "")
    tags.give(connection, [(item, tag) for tag in said if tag not in before])
    if withdrawn := set(before).difference(said):
        tags.take_away(connection, [item], withdrawn - _given(connection, item, but=source))


def _given(connection: sqlite3.Connection, item: int, but: int = 0) -> set[str]:
    """The tags that an item has of its file and its sources, ``but`` for one, whatever people took away of them."""
    rows = connection.execute(
        "SELECT tags FROM listings WHERE item = ?1 AND source != ?2 UNION ALL "
        "SELECT keywords FROM items JOIN features USING (sha256) WHERE items.id = ?1",
        (item, but),
    )
    return {tag for (text,) in rows for tag in tags.of_row(text or "")}


def unlist(connection: sqlite3.Connection, source: int, items: Iterable[int]) -> None:
    """A source has nothing to say of these items any more."""
    for item in items:
        _retag(connection, source, item, ())
        connection.execute("DELETE FROM listings WHERE source = ? AND item = ?", (source, item))


def settle(connection: sqlite3.Connection, items: Iterable[int]) -> int:
    """Give items the path and labels that follow from what is listed of them; how many labels changed."""
    query = (
        "SELECT label, domain, split, extra, source, path, since, COALESCE(by_layout, 0) "
        "FROM listings LEFT JOIN sources ON sources.id = source WHERE item = ?"
    )
    relabelled = 0
    for item in items:
        listed = [
            Listing(source, path, labels_of(label, domain, split, extra), *rest)
            for label, domain, split, extra, source, path, *rest in connection.execute(query, (item,))
        ]
        if not listed:  # what a killed writer of an earlier version left, until it is removed
            continue
        said = listings.settle(listed)
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


def labels_of(label: str, domain: str, split: str, extra: str) -> Labels:
    """Further columns that somebody has damaged are none: what is indexed next says them again."""
    try:
        return Labels.from_row(label, domain, split, extra)
    except ValueError:
        return Labels(label, domain, split)


def adopt_corrections(connection: sqlite3.Connection, batch: Sequence[Embedded]) -> None:
    """A correction belongs to an image, or to both of a pair: where its item is no more, it goes to a new item of the
    same image. One that is of whatever is at a place, as earlier versions had it, is of what comes there first."""
    ends = (("", "other_", corrections.HAS_ITEM), ("other_", "", corrections.HAS_OTHER))
    for entry in batch:
        for end, other, there in ends:
            connection.execute(
                f"UPDATE OR IGNORE corrections SET {end}uri = ?1, {end}path = ?2 WHERE {end}sha256 = ?3 "
                f"AND NOT {there} AND NOT ({other}uri = ?1 AND {other}sha256 = ?3)",
                (entry.item.uri, entry.item.path, entry.sha256),
            )
    connection.execute(corrections.NAME_OTHERS)


def succeed(connection: sqlite3.Connection, before: int, item: int) -> None:
    """A new item shows the very picture of the one that was at its place ``before``: it is that one, as it is now.

    So whatever names it by its id finds it still. Of its tags come those that its file or source did not give before:
    of what they gave, people may have taken some away.
    """
    columns = "uri, path, sha256, stamp"
    was, _, old, _ = connection.execute(f"SELECT {columns} FROM items WHERE id = ?", (before,)).fetchone()
    now = uri, path, sha256, _ = connection.execute(f"SELECT {columns} FROM items WHERE id = ?", (item,)).fetchone()
    has = {tag for (tag,) in connection.execute("SELECT tag FROM tags WHERE item = ?", (item,))}
    fresh = has - _given(connection, before)
    _say_as_well(connection, item, before)
    connection.execute("DELETE FROM tags WHERE item = ?", (item,))
    delete(connection, [item])
    connection.execute(
        "UPDATE items SET uri = ?, path = ?, sha256 = ?, stamp = ?, "
        "picture = CASE picture WHEN '' THEN sha256 ELSE picture END WHERE id = ?",
        (*now, before),
    )
    connection.execute("UPDATE tags SET sha256 = ? WHERE item = ?", (sha256, before))
    tags.give(connection, [(before, tag) for tag in fresh])
    say_of(connection, (was, old), (uri, sha256), "IGNORE")
    for of in ("", "other_"):  # what was said anew meanwhile counts
        connection.execute(f"DELETE FROM corrections WHERE {of}uri = ? AND {of}sha256 = ?", (was, old))
        connection.execute(f"UPDATE corrections SET {of}path = ? WHERE {of}uri = ?", (path, uri))
    settle(connection, [before])


def find_again(connection: sqlite3.Connection, item: int, since: int) -> bool:
    """Whether an item that left its place is one that was added since, from this id on: it moved there."""
    query = f"""SELECT now.id FROM items AS before JOIN items AS now USING (sha256)
        WHERE before.id = ? AND now.id >= ? AND now.uri NOT GLOB '{GONE}*' ORDER BY now.id"""
    now = one(connection, query, item, since)
    if now is not None:
        succeed(connection, item, now)
    return now is not None


def _say_as_well(connection: sqlite3.Connection, item: int, before: int) -> None:
    """What sources say of an item, they say of another, too, and are not newer for that."""
    query = f"SELECT {_LISTED} FROM listings WHERE item = ?"
    for _, source, *said, given, since in connection.execute(query, (item,)).fetchall():
        _list(connection, before, source, said, tags.of_row(given), since)


def inherit(connection: sqlite3.Connection, before: int, item: int) -> None:
    """Another picture is at a place now: what lists said of that, they say of this one."""
    query = (
        f"SELECT {_LISTED} FROM listings WHERE item = ? AND source NOT IN (SELECT source FROM listings WHERE item = ?)"
    )
    for _, source, *said, given, since in connection.execute(query, (before, item)).fetchall():
        _list(connection, item, source, said, tags.of_row(given), since)
    settle(connection, [item])


def said_of(connection: sqlite3.Connection, item: int, successor: int | None) -> tuple[int, int]:
    """How many corrections an item has, and tags that the one at its place has not."""
    corrected = f"""SELECT COUNT(*) FROM items AS said JOIN corrections ON corrections.uri = said.uri AND
        corrections.sha256 = said.sha256 OR other_uri = said.uri AND other_sha256 = said.sha256
        WHERE said.id = ? AND {corrections.APPLIES}"""
    tagged = "SELECT COUNT(*) FROM tags WHERE item = ? AND tag NOT IN (SELECT tag FROM tags WHERE item = ?)"
    return one(connection, corrected, item), connection.execute(tagged, (item, successor)).fetchone()[0]


def join(connection: sqlite3.Connection, stays: int, goes: int) -> None:
    """Two items turn out to be one: what was said of the one that goes is said of the other, where that is free."""
    uri = one(connection, "SELECT uri FROM items WHERE id = ?", stays)
    place, sha256 = connection.execute("SELECT uri, sha256 FROM items WHERE id = ?", (goes,)).fetchone()
    _show_what_one_shows(connection, stays, goes)
    say_of(connection, (place, sha256), (uri, sha256), "IGNORE")
    connection.execute("UPDATE OR IGNORE listings SET item = ? WHERE item = ?", (stays, goes))
    tags.join(connection, stays, goes)
    delete(connection, [goes])


def _show_what_one_shows(connection: sqlite3.Connection, *items: int) -> None:
    """Of items of one image that are one by now, a drop that was not said of all is not said of it: it was said of a
    copy, so that the other is kept."""
    dropped = "SELECT COUNT(*) FROM items JOIN corrections USING (uri, sha256) WHERE kind = 'drop' AND id = ?"
    contents = {one(connection, "SELECT sha256 FROM items WHERE id = ?", item) for item in items}
    if len(contents) == 1 and not all(one(connection, dropped, item) for item in items):
        query = "DELETE FROM corrections WHERE kind = 'drop' AND uri = (SELECT uri FROM items WHERE id = ?)"
        connection.executemany(query + " AND sha256 = ?", [(item, *contents) for item in items])


def new_source(connection: sqlite3.Connection) -> int:
    """An id that no source has, and that nothing names which one left behind: SQLite gives the largest again."""
    named = (("id", "sources"), ("source", "listings"), ("source", "refused"))
    return 1 + max(one(connection, f"SELECT MAX({column}) FROM {table}") or 0 for column, table in named)


def take_back_source(connection: sqlite3.Connection, source: int, before: Registered | None) -> None:
    """A source is as it was ``before`` its indexing was announced; but not where another program has begun it since."""
    if before:
        kept = (before.complete, before.keep, before.options, before.by_layout, source)
        change = "UPDATE sources SET complete = ?, keep = ?, options = ?, by_layout = ? WHERE id = ? AND NOT complete"
        connection.execute(change, kept)
    else:
        begun = "SELECT source FROM listings UNION SELECT source FROM refused"
        connection.execute(f"DELETE FROM sources WHERE id = ? AND NOT complete AND id NOT IN ({begun})", (source,))


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
    """Remove items, and what is listed of them; their images stay. Of an image that another item still shows nothing is
    left out any more: that was said of a copy which is no more."""
    rows = [(int(item),) for item in items]
    contents = {one(connection, "SELECT sha256 FROM items WHERE id = ?", *row) for row in rows}
    connection.executemany("DELETE FROM items WHERE id = ?", rows)
    connection.executemany("DELETE FROM listings WHERE item = ?", rows)
    connection.executemany(
        f"DELETE FROM corrections WHERE kind = 'drop' AND sha256 = ?1 AND NOT {corrections.HAS_ITEM} "
        "AND EXISTS (SELECT 1 FROM shown WHERE shown.sha256 = ?1)",
        [(sha256,) for sha256 in contents if sha256],
    )


def delete_unlisted(connection: sqlite3.Connection) -> int:
    """Remove the items that no source lists, as a writer of an earlier version left them that was killed."""
    query = "SELECT id FROM items WHERE NOT EXISTS (SELECT 1 FROM listings WHERE item = items.id)"
    found = [item for (item,) in connection.execute(query)]
    delete(connection, found)
    return len(found)
