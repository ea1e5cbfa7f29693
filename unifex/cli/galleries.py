"""The commands about what is in a gallery: list, show and correct it, say where it is searched and what it is of."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from unifex.cli.options import OF_GALLERY, TABLE, Parser, UsageError
from unifex.cli.shared import check_out, chosen_embedder, library, say, write
from unifex.core.errors import UnifexError
from unifex.core.text import plural, size

if TYPE_CHECKING:
    from unifex.gallery.corrections import Correction
    from unifex.gallery.gallery import Gallery


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    command("galleries", _galleries, "list the galleries")
    info = command("info", _info, "show what is in a gallery", model=OF_GALLERY)
    info.add_argument("gallery")
    store = command("store", _store, "search a gallery's vectors in FAISS or in Milvus from now on")
    store.add_argument("gallery")
    store.add_argument("store", help="faiss, milvus (a file in the gallery) or milvus:URI (MILVUS_TOKEN: its token)")
    remove = command("remove", _remove, "remove items from a gallery (the image files stay)")
    remove.add_argument("gallery")
    remove.add_argument("paths", nargs="+", metavar="PATH", help="path or uri of an item")

    correct = command("correct", _correct, "say what a gallery's source got wrong, or list what was said")
    correct.add_argument("gallery")
    correct.add_argument("--relabel", nargs=2, action="append", default=[], metavar=("PATH", "LABEL"))
    correct.add_argument("--drop", action="append", default=[], metavar="PATH", help="leave the item out")
    correct.add_argument("--same", nargs=2, action="append", default=[], metavar=("PATH", "PATH"))
    correct.add_argument(
        "--distinct", nargs=2, action="append", default=[], metavar=("PATH", "PATH"), help="they are no copies"
    )
    correct.add_argument("--undo", action="append", default=[], metavar="PATH", help="take back all said of an item")
    correct.add_argument("--out", type=TABLE, help="FILE.csv: write the list of corrections")

    tag = command("tag", _tag, "put a tag on items of a gallery, take it away, or list the tags")
    tag.add_argument("gallery")
    tag.add_argument(
        "tag", nargs="?", default="", help="a word or a few; several with commas between. Without: list them"
    )
    tag.add_argument("paths", nargs="*", metavar="PATH", help="path or uri of an item")
    tag.add_argument("--remove", action="store_true", help="take the tag away")

    forgotten = command("forget", _forget, "forget a source of a gallery, with the items that no other source has")
    forgotten.add_argument("source", help="as it was indexed; `info` lists them")
    forgotten.share("--gallery")
    relocated = command("relocate", _relocate, "tell a gallery that a folder, disk, file or bucket lies elsewhere now")
    relocated.add_argument("old", help="where it was when it was indexed")
    relocated.add_argument("new", help="where it is")
    relocated.share("--gallery")


def _galleries(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery.gallery import Facts, Gallery

    listed = list(library(options).survey(Gallery.facts))
    if not listed:
        say(options, f"no galleries in {options.library}/ yet: python -m unifex index FOLDER --gallery NAME makes one")
    for found in listed:
        sound = isinstance(found, Facts)
        told = f"{plural(found.items, 'item')}, {found.model}, {size(found.bytes)}" if sound else found.problem
        say(options, f"{found.name}: {told}")
    return {"galleries": [asdict(found) for found in listed]}


def _info(options: argparse.Namespace) -> dict[str, Any]:
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    facts, index = gallery.facts(), gallery.snapshot().index.candidates
    answer = asdict(facts) | {
        "sources": [source.spec for source in gallery.sources()],
        "index": {"kind": index.title, "exact": index.exact, "recall_at_10": index.recall},
    }
    made = gallery.config.backbone_hash  # tells an adapted backbone from the plain one
    shown = {"backbone": f"{facts.backbone} ({made})", "bytes": size(facts.bytes), "index": index.title}
    for name, value in (answer | shown).items():
        say(options, f"{name:12} {_readable(value)}")
    return answer | {"backbone_hash": made}


def _readable(value: object) -> str:
    """A fact as people read it."""
    if isinstance(value, dict):
        return ", ".join(f"{name or 'none'} {_readable(count)}" for name, count in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _store(options: argparse.Namespace) -> dict[str, Any]:
    if not options.store.strip():
        raise UsageError("name the store: faiss, milvus or milvus:URI")
    gallery = library(options).move_to(options.gallery, options.store)
    kind = gallery.snapshot().index.candidates.title
    say(options, f"gallery '{gallery.name}': {plural(len(gallery), 'item')}, {kind}")
    return {"gallery": gallery.name, "store": gallery.config.store or "faiss", "kind": kind}


def _remove(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery import changing

    gallery = library(options).get(options.gallery)
    with gallery.write() as writer:
        before = len(gallery)
        done = changing.remove(gallery, writer, _ids_of(gallery, options.paths, dropped=True))
    told = done.sentence if done.left_out else f"{plural(done.removed, 'item')} removed"
    say(options, f"{told}{_left(gallery, before, done.removed + done.left_out)}")
    return {"gallery": gallery.name, "removed": done.removed, "left_out": done.left_out, "items": len(gallery)}


def _left(gallery: Gallery, before: int, gone: int) -> str:
    """How many items there are now, and how many of those that are ``gone`` were none of what was there ``before``."""
    now = len(gallery)
    hidden = gone - (before - now)
    return f"{f', {hidden:,} of them left out before' if hidden > 0 else ''}, {now:,} left"


def _tag(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery import tags

    gallery = library(options).get(options.gallery)
    if options.tag:
        names = tags.parse(options.tag)
        if not options.paths:
            raise UsageError(f"name the items that '{options.tag}' is for")
        with gallery.write() as writer:
            (writer.untag if options.remove else writer.tag)(_ids_of(gallery, options.paths), names)
    counted = gallery.tags()
    for name, count in counted.items():
        say(options, f"{name}: {plural(count, 'item')}")
    say(options, f"{plural(len(counted), 'tag')} in gallery '{gallery.name}'")
    return {"gallery": gallery.name, "tags": counted}


def _ids_of(gallery: Gallery, paths: list[str], dropped: bool = False) -> list[int]:
    """The items of these paths or uris. Raises ``UnifexError`` when one names none, or several."""
    from unifex.gallery.naming import ids_named

    return sorted(set(ids_named(gallery.database, paths, dropped=dropped)))


def _correct(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery.corrections import as_csv, distinct, drop, relabel, same

    gallery = library(options).get(options.gallery)
    check_out(options, options.out, [b"kind,"])
    item = gallery.item_at
    said = [relabel(item(path), label) for path, label in options.relabel]
    said += [drop(item(path)) for path in options.drop]
    said += [same(item(a), item(b)) for a, b in options.same]
    said += [distinct(item(a), item(b)) for a, b in options.distinct]
    undone = [correction for name in dict.fromkeys(options.undo) for correction in _said_of(gallery, name)]
    if said or undone:
        with gallery.write() as writer:
            writer.undo(undone)
            writer.correct(said)
    stored = gallery.corrections()
    if options.out:
        write(options.out, as_csv(stored))
    idle = gallery.idle_corrections()
    for correction in stored:
        applies = "" if correction not in idle else " (does not apply: its image is gone, or another is there)"
        say(options, f"{correction.kind:8} {correction.sentence}{applies}")
    say(options, f"{plural(len(stored), 'correction')} in gallery '{gallery.name}'")
    told = [asdict(correction) | {"applies": correction not in idle} for correction in stored]
    return {"gallery": gallery.name, "corrections": told}


def _said_of(gallery: Gallery, name: str) -> list[Correction]:
    """What was said of the item with this path or uri, which may be gone. Raises ``UnifexError`` where that is nothing,
    or the path is that of several."""
    said, items = [], set()
    for one in gallery.corrections():
        named = {uri for uri, path in ((one.uri, one.path), (one.other_uri, one.other_path)) if name in (uri, path)}
        if named and name:
            said.append(one)
            items |= named
    if not said:
        raise UnifexError(f"nothing was said of '{name}'")
    if len(items) > 1:
        raise UnifexError(f"'{name}' is the path of several items; give the uri of one: {', '.join(sorted(items))}")
    return said


def _forget(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery.known_sources import forget

    gallery = library(options).get(options.gallery)
    before = len(gallery)
    removed = forget(gallery, options.source)
    say(options, f"'{options.source}' is forgotten: {plural(removed, 'item')} removed{_left(gallery, before, removed)}")
    return {"gallery": gallery.name, "source": options.source, "removed": removed, "items": len(gallery)}


def _relocate(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery.relocating import relocate

    gallery = library(options).get(options.gallery)
    outcome = relocate(gallery, options.old, options.new)
    missing = f"; {outcome.missing:,} of them cannot be found there: copy them there, too" if outcome.missing else ""
    say(options, f"{plural(outcome.items, 'item')} of '{options.old}' are known at '{options.new}' now{missing}")
    return {"gallery": gallery.name, "old": options.old, "new": options.new, **asdict(outcome)}
