"""The tables of ``items.sqlite``, and what the galleries of earlier versions lack of them.

``PRAGMA user_version`` counts the migrations that a database has. Versions that did not note it yet left 0, whatever
they have, so that every migration looks for what it adds. A writer adds it; until then readers, who may not be able to
write, see it as if it were there.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache

from unifex.core.language import say, to_say
from unifex.data import locations
from unifex.gallery import corrections, listings, tags

TABLES = (
    """
CREATE TABLE IF NOT EXISTS state (version INTEGER NOT NULL, changed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY, spec TEXT UNIQUE NOT NULL, keep INTEGER NOT NULL, complete INTEGER NOT NULL,
    options TEXT NOT NULL DEFAULT '', by_layout INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS shards (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, checksum TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS features (
    sha256 TEXT PRIMARY KEY, shard INTEGER NOT NULL, row INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL, original TEXT,
    stored INTEGER, taken TEXT, metadata TEXT, keywords TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT UNIQUE NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    label TEXT NOT NULL, domain TEXT NOT NULL, split TEXT NOT NULL, stamp TEXT NOT NULL, source INTEGER NOT NULL,
    extra TEXT NOT NULL DEFAULT '', picture TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS refused (
    source INTEGER NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_sha256 ON items (sha256);
CREATE INDEX IF NOT EXISTS items_path ON items (path);
CREATE INDEX IF NOT EXISTS items_picture ON items (id, picture) WHERE picture > '';
CREATE INDEX IF NOT EXISTS features_shard ON features (shard);
CREATE INDEX IF NOT EXISTS features_unmeasured ON features (sha256) WHERE stored IS NULL;
CREATE INDEX IF NOT EXISTS features_unasked ON features (sha256) WHERE metadata IS NULL;
CREATE INDEX IF NOT EXISTS features_dated ON features (sha256, taken) WHERE taken > '';
CREATE INDEX IF NOT EXISTS features_described ON features (sha256) WHERE metadata > '';
"""
    + corrections.TABLE
    + corrections.INDICES
    + listings.TABLE
    + tags.TABLE
    + tags.INDEX
)
_OF_SQLITE = {("table", name) for name in ("sqlite_sequence", "sqlite_stat1", "sqlite_stat4")}


@dataclass(frozen=True)
class Migration:
    """What a version of the program added to the tables.

    ``columns``: table -> column -> its type, with a default for the rows that are there. ``seen``: column -> what a
    reader sees in it until then, where that is not its default. ``tables``: name of a table or view -> script of a
    temporary one, which a reader sees where there is none. ``fill``: what a writer puts into it.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    fill: Callable[[sqlite3.Connection], None] = lambda database: None

    def missing_columns(self, database: sqlite3.Connection) -> dict[str, dict[str, str]]:
        """Its columns that a database lacks; a table that is not there will be made with all of its own."""
        missing = {}
        for table, columns in self.columns.items():
            there = {row[1] for row in database.execute(f"PRAGMA main.table_info({table})")}
            missing[table] = {name: kind for name, kind in columns.items() if there and name not in there}
        return {table: columns for table, columns in missing.items() if columns}

    def missing_tables(self, database: sqlite3.Connection) -> list[str]:
        """The names of its tables and views that a database lacks."""
        there = {row[0] for row in database.execute("SELECT name FROM main.sqlite_master")}
        return [name for name in self.tables if there and name not in there]

    def missing_values(self, database: sqlite3.Connection) -> dict[str, dict[str, str]]:
        """What a reader sees in its columns that a database lacks."""
        return {
            table: {name: self.seen.get(name) or of.partition("DEFAULT ")[2] or "NULL" for name, of in columns.items()}
            for table, columns in self.missing_columns(database).items()
        }


def _fill_listings(database: sqlite3.Connection) -> None:
    """Every item has one source, which says what the item has; folders are told from lists by their names.

    Places that earlier versions named by a detour (``/a/../b``) get the uri that they have now.
    """
    specs = [row[0] for row in database.execute("SELECT spec FROM sources")]
    folders = [(s,) for s in specs if locations.path_of(s) and not s.lower().endswith((".csv", ".tsv"))]
    database.executemany("UPDATE sources SET by_layout = 1 WHERE spec = ?", folders)
    rows = database.execute("SELECT uri FROM items WHERE uri LIKE '/%/../%'").fetchall()
    straight = [(os.path.normpath(uri), uri) for (uri,) in rows]
    database.executemany("UPDATE OR IGNORE items SET uri = ? WHERE uri = ?", straight)
    for column in ("uri", "other_uri"):
        database.executemany(f"UPDATE OR IGNORE corrections SET {column} = ? WHERE {column} = ?", straight)
    database.execute(f"INSERT OR IGNORE INTO listings {listings.OF_ITEMS}")


def _drop_what_asked_for_dates(database: sqlite3.Connection) -> None:
    """What the version that read dates alone looked for, ``features_unasked`` finds now."""
    database.execute("DROP INDEX IF EXISTS features_undated")


def _note_a_change(database: sqlite3.Connection) -> None:
    """Whatever earlier versions did until now."""
    database.execute("UPDATE state SET changed = version")


def _name_both_pictures(database: sqlite3.Connection) -> None:
    """Of a pair the second picture, too; and pictures are part of the key, so that the table is made anew."""
    database.execute(corrections.NAME_OTHERS)
    said = database.execute(f"SELECT {', '.join(corrections.COLUMNS)} FROM corrections").fetchall()
    database.execute("DROP VIEW shown")
    database.execute("DROP TABLE corrections")
    _make_what_lacks(database)
    database.executemany(corrections.STORE, said)


_UNKNOWN = 2**62  # of a gallery whose writers note it not, every commit may change what was there
_EXTRA = {"extra": "TEXT NOT NULL DEFAULT ''"}
MIGRATIONS = (
    Migration(tables={"shown": re.sub("CREATE (TABLE|VIEW)", r"CREATE TEMP \1", corrections.TABLE)}),
    Migration(columns={"shards": {"checksum": "TEXT NOT NULL DEFAULT ''"}}),
    Migration(
        columns={"sources": {"options": "TEXT NOT NULL DEFAULT ''", "by_layout": "INTEGER NOT NULL DEFAULT 0"}},
        tables={"listings": f"CREATE TEMP VIEW listings AS {listings.OF_ITEMS}"},
        fill=_fill_listings,
    ),
    Migration(columns={"features": {"stored": "INTEGER"}}),
    Migration(columns={"items": _EXTRA, "listings": _EXTRA}),
    Migration(tables={"tags": tags.TABLE.replace("CREATE TABLE", "CREATE TEMP TABLE")}),
    Migration(columns={"features": {"taken": "TEXT"}}),
    Migration(
        columns={"features": {"metadata": "TEXT"}, "listings": {"tags": "TEXT NOT NULL DEFAULT ''"}},
        fill=_drop_what_asked_for_dates,
    ),
    Migration(columns={"state": {"changed": f"INTEGER NOT NULL DEFAULT {_UNKNOWN}"}}, fill=_note_a_change),
    Migration(columns={"features": {"keywords": "TEXT"}, "items": {"picture": "TEXT NOT NULL DEFAULT ''"}}),
    Migration(
        columns={"corrections": {"other_sha256": "TEXT NOT NULL DEFAULT ''"}},
        seen={"other_sha256": corrections.OTHER_NOW},
        fill=_name_both_pictures,
    ),
)


def make_tables(database: sqlite3.Connection) -> None:
    """Fill an empty database with the tables of an empty gallery, in the transaction that this begins."""
    database.execute("BEGIN")  # one for all: each would be written to the disk by itself
    _make_what_lacks(database)
    database.execute("INSERT INTO state VALUES (0, 0)")


def migrate(database: sqlite3.Connection) -> None:
    """Add what a gallery of an earlier version lacks, in the transaction that this begins."""
    if _version(database) == len(MIGRATIONS):
        return
    database.execute("BEGIN IMMEDIATE")
    missing = [m for m in MIGRATIONS if m.missing_columns(database) or m.missing_tables(database)]
    for migration in missing:
        for table, columns in migration.missing_columns(database).items():
            for name, kind in columns.items():
                database.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    _make_what_lacks(database)
    for migration in missing:
        migration.fill(database)


def _make_what_lacks(database: sqlite3.Connection) -> None:
    for statement in TABLES.split(";"):  # a script would end the transaction
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


def stand_ins(database: sqlite3.Connection) -> str:
    """A script that lets a reader see what a gallery of an earlier version lacks; empty when it lacks nothing."""
    lacking: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for migration in MIGRATIONS:
        for table, values in migration.missing_values(database).items():
            lacking[table] |= values
    scripts = []
    for table, columns in lacking.items():
        values = ", ".join(f"{value} AS {name}" for name, value in columns.items())
        scripts.append(f"CREATE TEMP VIEW {table} AS SELECT *, {values} FROM main.{table}")
    scripts += [migration.tables[name] for migration in MIGRATIONS for name in migration.missing_tables(database)]
    return ";".join(scripts)


def check_version(database: sqlite3.Connection) -> None:
    """Raises ValueError for a database of a later version of the program."""
    version = _version(database)
    if not 0 <= version <= len(MIGRATIONS):
        told = to_say("it is of a later version of UniFEx (form {version}, this reads up to {most}); update UniFEx")
        raise ValueError(say(told, version=version, most=len(MIGRATIONS)))


def check_schema(database: sqlite3.Connection) -> None:
    """Raises ValueError for a database with parts that no gallery has: they could be code of who made it."""
    known = _schema()
    for kind, name, columns, sql in _parts(database):
        if (kind, name) in _OF_SQLITE:
            continue
        expected = known.get((kind, name))
        if expected is None or not columns <= expected[0] or (kind == "view" and sql != expected[1]):
            raise ValueError(f"{kind} '{name[:40]}'")


@cache
def _schema() -> dict[tuple[str, str], tuple[frozenset[str], str]]:
    """(type, name) -> columns and, of a view, what it says: all that a gallery's database may have."""
    with closing(sqlite3.connect(":memory:")) as database:
        make_tables(database)
        return {(kind, name): (columns, sql if kind == "view" else "") for kind, name, columns, sql in _parts(database)}


def _parts(database: sqlite3.Connection) -> Iterator[tuple[str, str, frozenset[str], str]]:
    """Type, name, columns and text of what a database has, but for indices. Raises ValueError for what may be code."""
    for kind, name, sql in database.execute("SELECT type, name, sql FROM main.sqlite_master").fetchall():
        if kind == "index":
            continue
        words = " ".join(str(sql).split())
        columns = database.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
        if kind == "trigger" or words.upper().startswith("CREATE VIRTUAL") or any(hidden for _, hidden in columns):
            raise ValueError(f"{kind} '{str(name)[:40]}'")
        yield kind, name, frozenset(column for column, _ in columns), words
