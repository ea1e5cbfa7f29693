"""What was indexed lies elsewhere now: in another folder, on another disk, in another bucket or on another server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import PurePosixPath

from unifex.core import images
from unifex.core.language import say
from unifex.core.text import command, plural, printable
from unifex.data import addresses, locations, store_tree
from unifex.data.item import Item, SourceError
from unifex.data.locations import Place
from unifex.data.sources import meant
from unifex.gallery import item_rows
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.known_sources import listing
from unifex.gallery.records import Registered, Relocated, Stored
from unifex.gallery.writer import Writer

SAMPLE = 16  # images that are read and compared, of those whose store says that they may be others


def relocate(gallery: Gallery, old: str, new: str) -> Relocated:
    """Everything that was indexed at or below the folder, file or address ``old`` lies at ``new`` now: same items, same
    labels, nothing is embedded anew.

    Raises ``GalleryError`` when nothing was indexed there, when nothing is there now, when ``new`` is where it lies
    already, when less than half is there now, or when the gallery is busy; of stores also when what is there are other
    images; and of what came in a packed gallery, which :mod:`indexing` finds in its folder. ``SourceError`` when the
    store cannot be read, or an address is none.
    """
    _check_not_packed(gallery, old, new)
    old, new, known = meant(old), meant(new), [source.spec for source in gallery.sources()]
    target = addresses.remembered(new) if store_tree.is_address(new) else locations.typed(new).resolve().as_posix()
    with gallery.write() as writer:
        stored = writer.stored()
        for texts, spelling in product((stored, known), _spellings(old, known)):
            moving = {text: there for text in texts if (there := locations.relocated(text, spelling, target))}
            if moving:
                break
        else:
            raise GalleryError(
                say(
                    "gallery '{name}' has nothing from '{old}' (but from {known})",
                    name=gallery.name,
                    old=old,
                    known=listing(known),
                )
            )
        moving, stamps = _as_called(moving, target) if store_tree.is_address(target) else (moving, {})
        if all(text == there for text, there in moving.items()):
            raise GalleryError(say("'{old}' is at '{new}' already; give the place where it is now", old=old, new=new))
        found = {text: there for text, there in moving.items() if there in stamps or locations.is_there(there)}
        has_items = texts is stored
        if not found and (has_items or not stamps):
            raise GalleryError(
                say("nothing of '{old}' is at '{new}'; give the place where it is now", old=old, new=new)
            )
        missing = _shown(gallery, moving.keys() - found.keys()) if has_items else 0
        if missing:
            _check_most_are_there(_shown(gallery, found), missing, old, new)
        if has_items and (stamps or store_tree.is_address(spelling)):
            _check_alike(found, stored, stamps, new)
        outcome = writer.relocate(lambda text: moving.get(text) or locations.relocated(text, spelling, target))
        _list_strays(gallery, writer, spelling, target, frozenset(moving.values()))
        gallery.derived.refresh()
    return replace(outcome, missing=missing)


def _check_not_packed(gallery: Gallery, old: str, new: str) -> None:
    if meant(old).startswith(item_rows.PACKED):
        told = say(
            "what came in a packed gallery is found by name and content when its folder is indexed: `{command}`",
            command=command("index", new, "--gallery", gallery.name),
        )
        raise GalleryError(told)


def _list_strays(gallery: Gallery, writer: Writer, old: str, target: str, moved: Collection[str]) -> None:
    """What only a folder lists in which it lies no more, the source that the new place lies in lists, too; where there
    is none, that place is one. The folder lists it on, since it knows its labels (``_Run.gone``)."""
    sources = gallery.sources()
    around = [source for source in sources if _is_at(target, source.spec)]
    near = [source for source in sources if source in around or _is_at(source.spec, target)]
    listed = {source.id: writer.listed(source.id) for source in sources}
    at_home = {item for source in near for item in listed[source.id]}
    strays = {known.id: known for known in writer.stored().values() if known.uri in moved and known.id not in at_home}
    home = max(around, key=lambda source: len(source.spec), default=None)
    for source in (source for source in sources if source.by_layout and source not in near):
        items = []
        for id, (path, *labels, _) in listed[source.id].items():
            if known := strays.get(id):
                there = _path_in(home, path, source, old, target)
                items.append((known, Item(known.uri, there, bytes, item_rows.labels_of(*labels), known.stamp)))
        if items:
            id = home.id if home else writer.begin_source(target, source.keep, source.options, by_layout=True)
            writer.list_items(id, items)
            if not home:
                writer.finish_source(id)


def _is_at(text: str, place: str) -> bool:
    """Whether something lies at or below a place."""
    return locations.relocated(text, place, place) is not None


def _path_in(home: Registered | None, path: str, source: Registered, old: str, target: str) -> str:
    """What a source calls that lay at ``path`` of another one before ``old`` became ``target``."""
    below = path.removeprefix(old.removeprefix(source.spec).strip("/")).strip("/")
    above = target.removeprefix(home.spec).strip("/") if home else ""
    return "/".join(filter(None, (above, below))) or PurePosixPath(target).name


def _spellings(old: str, known: Iterable[str]) -> list[str]:
    """How the gallery may call the place. Raises ``SourceError`` for an address that is none."""
    spellings = [locations.known_as(old, known)]
    if not store_tree.is_address(old):
        place = locations.typed(old)
        spellings += [place.as_posix(), place.resolve().as_posix()]
    return list(dict.fromkeys(spellings))


def _as_called(moving: Mapping[str, str], address: str) -> tuple[dict[str, str], dict[str, str]]:
    """The new places as the store itself writes them, and address -> stamp of all that lies in it now.

    Servers quote the same name in several ways. Raises ``SourceError`` when not all of it can be listed.
    """
    stamps = store_tree.list_stamps(address)
    called = {addresses.plain(uri): uri for uri in stamps}
    return {text: called.get(addresses.plain(there), there) for text, there in moving.items()}, stamps


def _shown(gallery: Gallery, uris: Iterable[str]) -> int:
    """How many of these are of items that are not left out."""
    return sum(bool(ids) for ids in gallery.find(list(uris), by=["uri"]).values())


def _check_most_are_there(found: int, missing: int, old: str, new: str) -> None:
    if found < missing:
        told = say(
            "only {found:,} of the {items} of '{old}' are at '{new}': copy the others there, too, or give the place "
            "where they are",
            found=found, items=plural(found + missing, "item", "items"), old=old, new=new,
        )  # fmt: skip
        raise GalleryError(told)


def _check_alike(found: Mapping[str, str], stored: Mapping[str, Stored], stamps: Mapping[str, str], new: str) -> None:
    """What has the same stamp as before is the same; of the others a few are read."""
    doubtful = [text for text, there in found.items() if stamps.get(there) != stored[text].stamp]
    looked = doubtful[:: max(1, len(doubtful) // SAMPLE)][:SAMPLE]
    same = sum(_is_same(found[text], stored[text].sha256) for text in looked)
    if 2 * same < len(looked):
        told = say(
            "other images are at '{new}': of {count} that were looked at, {same} are what was indexed; give the place "
            "where that is, or index '{new}' as a source of its own",
            count=len(looked), same=same, new=new,
        )  # fmt: skip
        raise GalleryError(told)


def _is_same(uri: str, sha256: str) -> bool:
    """Whether these bytes lie there. Raises ``SourceError`` when a store does not give them."""
    if not store_tree.is_address(uri):
        return locations.look_at_file(uri, "", sha256) is Place.SAME
    try:
        return images.content_hash(store_tree.read(uri)) == sha256
    except images.ImageError as error:
        shown = printable(uri)
        raise SourceError(say("'{address}' cannot be read: {reason}", address=shown, reason=error)) from None
