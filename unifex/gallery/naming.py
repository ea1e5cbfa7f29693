"""Which item of a gallery people mean by a path, a uri or an id, and why it is none."""

from __future__ import annotations

from collections.abc import Sequence

from unifex.core.language import say, to_say
from unifex.core.text import LISTED, command
from unifex.gallery.corrections import COLUMNS, Correction
from unifex.gallery.database import Database
from unifex.gallery.errors import GalleryError

BY = ("path", "uri")


def ids_named(
    database: Database, names: Sequence[str], by: Sequence[str] = BY, dropped: bool = False, or_by_id: bool = False
) -> list[int]:
    """The id of the item that each of these names, ``by`` path or uri, in their order.

    ``dropped``: where none is called so, one that a correction leaves out. ``or_by_id``: or one of this id. Raises
    ``GalleryError`` where a name is none's, or several items' of one path, of which nobody can tell which is meant.
    """
    found = database.find(names, by)
    if or_by_id:
        found |= database.find([name for name in _nobodys(found) if _is_id(name)], by=("id",))
    if dropped:
        found |= database.find(_nobodys(found), by, dropped=True)
    for name, ids in found.items():
        if len(ids) > 1:
            told = to_say("gallery '{name}' has {count:,} items '{item}'; name one by its uri")
            if or_by_id:  # where a uri may be nobody's business
                told = to_say("gallery '{name}' has {count:,} items '{item}'; name one by its id: {ids}")
            about = {"name": database.name, "count": len(ids), "item": name}
            raise GalleryError(say(told, **about, ids=", ".join(map(str, ids[:LISTED]))))
    if missing := _nobodys(found):
        raise missing_error(database, missing, (*by, "id") if or_by_id else by)
    return [found[name][0] for name in names]


def missing_error(
    database: Database,
    missing: Sequence[str | int],
    by: Sequence[str] = ("id",),
    kind: type[GalleryError] = GalleryError,
) -> GalleryError:
    """What to raise for items that are not to be found: that they were left out, where that is why."""
    dropped = [id for ids in database.find([str(name) for name in missing], by, dropped=True).values() for id in ids]
    if paths := [said.path for item in dropped if (said := left_out(database, item))]:
        return kind(
            say(
                "gallery '{name}' leaves out {items}, as a correction says; to have it again, take that back on the "
                "Evaluate tab",
                name=database.name, items=_listed(paths),
            ),
            command=command("correct", database.name, *(word for path in paths[:LISTED] for word in ("--undo", path))),
        )  # fmt: skip
    return kind(say("gallery '{gallery}' has no item {item}", gallery=database.name, item=_listed(missing)))


def left_out(database: Database, item: int) -> Correction | None:
    """The correction that leaves out the item with this id; None for one that is there, or that there never was."""
    columns = ", ".join(f"corrections.{column}" for column in COLUMNS)
    query = f"SELECT {columns} FROM corrections JOIN items USING (uri, sha256) WHERE kind = 'drop' AND items.id = ?"
    with database.connect() as connection:
        said = connection.execute(query, (item,)).fetchone()
    return Correction(*said) if said else None


def count_left_out(database: Database) -> int:
    """How many items corrections leave out."""
    query = "SELECT COUNT(*) FROM corrections JOIN items USING (uri, sha256) WHERE kind = 'drop'"
    with database.connect() as connection:
        return connection.execute(query).fetchone()[0]


def _nobodys(found: dict[str, list[int]]) -> list[str]:
    return [name for name, ids in found.items() if not ids]


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 19


def _listed(items: Sequence[str | int]) -> str:
    return ", ".join(str(item) if str(item).isdecimal() else f"'{item}'" for item in items[:LISTED])
