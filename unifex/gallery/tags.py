"""Tags: words that people put on a gallery's items, stored beside them and never in their files.

What a file or a source has for keywords is an item's from the beginning, to be taken away as any other tag.
An item has any number. They belong to an image, as corrections do: an item keeps them wherever its file goes, they end
when the file shows another picture, and an item that was removed has them again when that content is indexed once more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unifex.core import metadata
from unifex.core.arrays import positions_of
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.text import plural, printable

LONGEST = metadata.LONGEST_KEYWORD  # characters of a tag
MOST, MOST_AT_ONCE = 50, 10  # tags of an item; tags that are given in one text
SEPARATOR = ", "  # between tags where several stand in one text

TABLE = """
CREATE TABLE IF NOT EXISTS tags (
    item INTEGER NOT NULL, tag TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (item, tag)) WITHOUT ROWID;
"""
INDEX = "CREATE INDEX IF NOT EXISTS tags_sha256 ON tags (sha256);"
OF_ITEM = "COALESCE((SELECT group_concat(tag, char(10)) FROM tags WHERE tags.item = shown.id), '')"
SHOWN = "SELECT tags.item, tags.tag FROM tags JOIN shown ON shown.id = tags.item"


def parse(text: str) -> tuple[str, ...]:
    """The tags that a text names, with commas between, each once. Raises ``UnifexError`` for none, or what is none."""
    found = tuple(dict.fromkeys(filter(None, (printable(" ".join(part.split())) for part in text.split(",")))))
    if not found:
        raise UnifexError(say("name the tag"))
    if len(found) > MOST_AT_ONCE:
        raise UnifexError(say("give at most {most} tags at once", most=MOST_AT_ONCE))
    for tag in found:
        if len(tag) > LONGEST:
            raise UnifexError(say("the tag '{tag}…' is longer than {most} characters", tag=tag[:LONGEST], most=LONGEST))
    return found


def as_row(given: Iterable[str]) -> str:
    """As :func:`of_row` reads it."""
    return "\n".join(given)


def of_row(text: str) -> tuple[str, ...]:
    """What :data:`OF_ITEM` selects, in alphabetical order."""
    return tuple(sorted(filter(None, text.split("\n"))))


@dataclass(frozen=True)
class TagColumn:
    """Which items have which tags: the item at ``positions[i]`` has ``names[codes[i]]``; both int64 [P]; of ``items``.

    ``names``: object [T], sorted.
    """

    names: np.ndarray
    codes: np.ndarray
    positions: np.ndarray
    items: int

    @classmethod
    def empty(cls, items: int) -> TagColumn:
        """Of items that have none."""
        return cls.of(np.zeros(items, np.int64), [])

    @classmethod
    def of(cls, ids: np.ndarray, rows: Sequence[tuple[int, str]]) -> TagColumn:
        """For ascending ``ids`` int64 [N], from (id, tag) of these items, or of other ones."""
        positions = positions_of(ids, np.array([item for item, _ in rows], np.int64))
        texts = np.array([tag for _, tag in rows], object)[positions >= 0]
        names, codes = np.unique(texts, return_inverse=True)
        return cls(names, codes.astype(np.int64), positions[positions >= 0], len(ids))

    def among(self, tags: Iterable[str]) -> np.ndarray:
        """bool [N]: which items have one of these tags."""
        wanted = set(map(printable, tags))
        those = np.array([name in wanted for name in self.names], bool)
        having = np.zeros(self.items, bool)
        having[self.positions[those[self.codes]]] = True
        return having

    def counts(self, left: np.ndarray) -> np.ndarray:
        """int64 [T]: of the items that are ``left``, bool [N], how many have each."""
        return np.bincount(self.codes[left[self.positions]], minlength=len(self.names))


def add(connection: sqlite3.Connection, items: Iterable[int], tags: Sequence[str]) -> None:
    """Put tags on items that are there. Raises ``UnifexError`` when one would have too many; one that has more, as two
    may that turned out to be one, is in nobody's way."""
    count = "SELECT COUNT(*) FROM tags WHERE item = ?"
    for item in map(int, items):
        came = copy(connection, [item], tags)
        if came and connection.execute(count, (item,)).fetchone()[0] > MOST:
            raise UnifexError(say("an item has at most {tags}; take some away first", tags=plural(MOST, "tag", "tags")))


def copy(connection: sqlite3.Connection, items: Iterable[int], tags: Sequence[str]) -> int:
    """Put all tags of another gallery's items on these; how many they had not. One that had too many keeps them."""
    put = "INSERT OR IGNORE INTO tags (item, tag, sha256) SELECT id, ?, sha256 FROM items WHERE id = ?"
    return connection.executemany(put, [(tag, int(item)) for item in items for tag in tags]).rowcount


def give(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
    """(item, tag) of many items that are there, as their files or sources say: as many as an item may have."""
    connection.executemany(
        "INSERT OR IGNORE INTO tags (item, tag, sha256) SELECT id, ?2, sha256 FROM items "
        f"WHERE id = ?1 AND (SELECT COUNT(*) FROM tags WHERE item = ?1) < {MOST}",
        rows,
    )


def take_away(connection: sqlite3.Connection, items: Iterable[int], tags: Iterable[str]) -> None:
    """Items have these tags no more."""
    connection.executemany("DELETE FROM tags WHERE tag = ? AND item = ?", [(t, int(i)) for i in items for t in tags])


def adopt(connection: sqlite3.Connection, new: Mapping[str, int]) -> None:
    """Tags whose item is no more go to a new item of the same image: sha256 -> its id."""
    connection.executemany(
        "UPDATE OR IGNORE tags SET item = ?2 WHERE sha256 = ?1 AND NOT EXISTS "
        "(SELECT 1 FROM items WHERE items.id = tags.item)",
        new.items(),
    )


def join(connection: sqlite3.Connection, stays: int, goes: int) -> None:
    """Two items turn out to be one: of the same image, it has the tags of both."""
    same = "sha256 = (SELECT sha256 FROM items WHERE id = ?)"
    connection.execute(f"UPDATE OR IGNORE tags SET item = ? WHERE item = ? AND {same}", (stays, goes, stays))
