"""A gallery's database written afresh, row by row, from checked columns: whatever travels, either way.

A database is more than rows: views, triggers, generated columns and indices run or lie when somebody reads it. So that
of another is only looked at, as numbers and texts of known tables, and no place on a computer comes out of it: an item
is named by the bundle it travels in.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from unifex.core import dates
from unifex.core.language import say, to_say
from unifex.core.metadata import FileMetadata, columns_of_row
from unifex.core.text import printable
from unifex.data.item import Labels
from unifex.gallery import listings, tags
from unifex.gallery.corrections import KINDS
from unifex.gallery.database import is_digest
from unifex.gallery.image_store import SHARD_ROWS
from unifex.gallery.schema import check_schema, check_version, make_tables

MOST_VALUE = 1 << 16  # bytes of one value
LEAST_ROW = 8  # bytes: a page that claims to be its own child gives rows without end
MOST_PATH, MOST_LABEL, MOST_SPLIT, MOST_REASON, MOST_EXTRA = 4096, 10_000, 64, 1000, 45_000
SUFFIX = r"\.[\w~+-]{1,7}"
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MOST_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 16,
    sqlite3.SQLITE_LIMIT_COLUMN: 64,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 20,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}


@dataclass(frozen=True)
class Rebuilt:
    """What the new database speaks of. ``shards``: rows by id; ``originals``: file name by image, empty without one."""

    shards: dict[int, int]
    originals: dict[str, str]


def rebuild(
    source: sqlite3.Connection,
    target: Path,
    place: str,
    original: Callable[[str, str], str],
    without: Collection[str] = (),
) -> Rebuilt:
    """Write a database with what is in ``source``; items lie at ``place``/ID/PATH, and nothing in it is unfinished.

    ``original``: (sha256, name there) -> the file name of an image's bytes, or "". ``without``: further columns that
    stay behind. Raises ValueError for what no gallery holds.
    """
    with closing(sqlite3.connect(target)) as made, made:
        make_tables(made)
        made.execute("INSERT INTO sources (id, spec, keep, complete) VALUES (1, ?, 1, 1)", (place,))
        shards = dict(_rows(source, "shards"))
        originals: dict[str, str] = {}

        def features() -> Iterator[tuple]:
            for sha256, shard, row, *told, others, name in _rows(source, "features"):
                if row >= shards.get(shard, 0):
                    raise ValueError(say(_NO_ROW, row=row, shard=shard))
                originals[sha256] = original(sha256, name)
                yield sha256, shard, row, *told, _left(others, without), originals[sha256]

        corrections = list(_rows(source, "corrections"))
        corrected = {uri for row in corrections for uri in (row[1], row[6])}
        named: dict[str, tuple[str, str, str]] = {"": ("", "", "")}

        def items() -> Iterator[tuple]:
            for id, uri, path, sha256, *rest, extra in _rows(source, "items"):
                new = f"{place}/{id}/{path}"
                if uri in corrected:
                    named[uri] = new, path, sha256
                yield id, new, path, sha256, *rest, _left(extra, without)

        made.executemany("INSERT INTO shards (id, rows) VALUES (?, ?)", shards.items())
        made.executemany(
            "INSERT INTO features (sha256, shard, row, width, height, bytes, taken, metadata, original) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            features(),
        )
        made.executemany(
            "INSERT INTO items (id, uri, path, sha256, label, domain, split, extra, stamp, source) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 1)",
            items(),
        )
        made.execute(f"INSERT INTO listings {listings.OF_ITEMS}")
        made.executemany("INSERT OR REPLACE INTO refused VALUES (1, ?, ?)", _rows(source, "refused"))
        _write_corrections(made, corrections, named)
        made.executemany(
            "INSERT OR IGNORE INTO tags (tag, item, sha256) "
            "SELECT ?, id, sha256 FROM items WHERE id = ? AND sha256 = ?",
            _rows(source, "tags"),
        )
        if made.execute("SELECT 1 FROM items WHERE sha256 NOT IN (SELECT sha256 FROM features)").fetchone():
            raise ValueError(say("it has an item without features"))
    return Rebuilt(shards, originals)


def _write_corrections(made: sqlite3.Connection, said: list[tuple], named: Mapping[str, tuple[str, str, str]]) -> None:
    """Of the items that are there. ``named``: their uri and path now, and their sha256, by their uri before."""
    made.executemany(
        "INSERT INTO corrections (kind, uri, path, sha256, label, domain, other_uri, other_path, other_sha256) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (kind, *named[uri][:2], sha256, label, domain, *named[other][:2], other_sha256 or named[other][2])
            for kind, uri, _, sha256, label, domain, other, _, other_sha256 in said
            if uri and uri in named and other in named
        ],
    )


def open_foreign(path: Path) -> sqlite3.Connection:
    """Another's database, to be read by :func:`rebuild` alone. Raises ValueError for one with code of its own."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        for limit, most in _LIMITS.items():
            database.setlimit(limit, most)
        for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
            database.execute(f"PRAGMA {pragma}")
        check_version(database)
        check_schema(database)
        return database
    except BaseException:
        database.close()
        raise


def _number(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(say("no number from {least:,} to {most:,}", least=least, most=most))
        return value

    return check


def _text(most: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(say("no text of at most {most:,} characters", most=most))
        return printable(value)

    return check


def _extra(value: object) -> str:
    """Further columns, or none in a gallery of an earlier version."""
    if value is None:
        return ""
    return Labels.from_row("", "", "", _text(MOST_EXTRA)(value)).row[3]


def _taken(value: object) -> str | None:
    """The date of an image, empty without one; None in a gallery of an earlier version, which did not look."""
    if value is not None and value != "" and not (isinstance(value, str) and dates.beginning(value)):
        raise ValueError(say("no date"))
    return None if value is None else str(value)


def _metadata(value: object) -> str | None:
    """What a file says, as it is stored; None in a gallery of an earlier version, which did not look."""
    return None if value is None else FileMetadata(columns_of_row("", _text(MOST_EXTRA)(value))).row[1]


def _left(columns: str | None, without: Collection[str]) -> str | None:
    """Further columns as JSON, without some."""
    return Labels.from_row("", "", "", columns).without(without).row[3] if columns and without else columns


def _place(value: object) -> str:
    """It only tells whose correction one is; nothing is opened there."""
    if not isinstance(value, str):
        raise ValueError(say("no text"))
    return value


def _digest(value: object) -> str:
    if not is_digest(value):
        raise ValueError(say("no sha256"))
    return str(value)


def _other_digest(value: object) -> str:
    """Of what is said of one item, and in a gallery of an earlier version, there is none."""
    return _digest(value) if value else ""


def _file_name(value: object) -> str:
    if value is not None and (not isinstance(value, str) or re.search(r"[/\\\0]", value) or len(value) > 80):
        raise ValueError(say("no plain file name"))
    return value or ""


def _kind(value: object) -> str:
    if value not in KINDS:
        raise ValueError(say("none of {known}", known=", ".join(KINDS)))
    return str(value)


def _tag(value: object) -> str:
    (tag,) = tags.parse(_text(tags.LONGEST)(value))
    return tag


_NO_ROW = to_say("an image lies at row {row} of features {shard}, where nothing is")
LATER = frozenset({"extra", "taken", "metadata", "other_sha256"})  # columns that earlier versions may lack
LATER_TABLES = frozenset({"corrections", "tags"})
_SIZE = _number(0, 1 << 40)
_LABEL = _text(MOST_LABEL)
_COLUMNS: dict[str, dict[str, Callable[[object], object]]] = {
    "shards": {"id": _number(1, 1 << 32), "rows": _number(0, SHARD_ROWS)},
    "features": {
        "sha256": _digest, "shard": _number(1, 1 << 32), "row": _number(0, SHARD_ROWS), "width": _SIZE,
        "height": _SIZE, "bytes": _SIZE, "taken": _taken, "metadata": _metadata, "original": _file_name,
    },
    "items": {
        "id": _number(1, 1 << 62), "uri": _place, "path": _text(MOST_PATH), "sha256": _digest, "label": _LABEL,
        "domain": _LABEL, "split": _text(MOST_SPLIT), "extra": _extra,
    },
    "refused": {"path": _text(MOST_PATH), "reason": _text(MOST_REASON)},
    "corrections": {
        "kind": _kind, "uri": _place, "path": _text(MOST_PATH), "sha256": _digest, "label": _LABEL,
        "domain": _LABEL, "other_uri": _place, "other_path": _text(MOST_PATH), "other_sha256": _other_digest,
    },
    "tags": {"tag": _tag, "item": _number(1, 1 << 62), "sha256": _digest},
}  # fmt: skip


def _rows(source: sqlite3.Connection, table: str) -> Iterator[tuple]:
    """The checked rows of a table, without help of its indices. Raises ValueError that names the column."""
    checks = _COLUMNS[table]
    pages, size = (source.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("page_count", "page_size"))
    most = pages * size // LEAST_ROW
    there = {row[1] for row in source.execute(f"PRAGMA main.table_info({table})")}
    if table in LATER_TABLES and not there:
        return
    wanted = ", ".join("NULL" if column in LATER and column not in there else column for column in checks)
    for count, row in enumerate(source.execute(f"SELECT {wanted} FROM main.{table} NOT INDEXED")):
        if count > most:
            raise ValueError(say("{table} has more rows than its file can hold", table=table))
        checked = []
        for (column, check), value in zip(checks.items(), row):
            try:
                checked.append(check(value))
            except ValueError as error:
                told = to_say("{table}: the {column} {value!r} is {error}")
                raise ValueError(say(told, table=table, column=column, value=str(value)[:80], error=error)) from error
        yield tuple(checked)
