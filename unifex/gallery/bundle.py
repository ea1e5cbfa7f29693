"""A gallery that travels: one zip of features, items, thumbnails, hashes and the neck.

Nothing in it tells where on the sender's computer the images lay, ``bundle.json`` has the sha256 of every file, and
nothing derived is in it: that is made anew in seconds. The backbone is named, and only what a deep training changed in
it is packed. Who opens one does not trust it: only files that a gallery is made of come out, each is looked at, and the
items are written afresh (:mod:`unifex.gallery.rebuild`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import sqlite3
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unifex.core import derived, disk, images, thumbnails
from unifex.core.files import file_hash, ready, verify, whole_file, with_checksum, write_atomically
from unifex.core.language import say, to_say
from unifex.core.metadata import PLACE
from unifex.core.progress import Stage, Work
from unifex.core.text import reason
from unifex.data.archive import MAX_ENTRIES
from unifex.gallery.bundle_features import shard_to_pack
from unifex.gallery.bundle_file import (
    CONTENTS,
    SCHEMA,
    SEARCHES_FILE,
    WIDEST,
    BundleFile,
    Contents,
    is_bundle,
    refusing,
)
from unifex.gallery.bundle_model import adopt_model, searched_with
from unifex.gallery.config import GalleryConfig
from unifex.gallery.database import FILE as ITEMS
from unifex.gallery.errors import GalleryError
from unifex.gallery.folder_names import check_name
from unifex.gallery.gallery import Gallery, new_gallery
from unifex.gallery.item_rows import PACKED
from unifex.gallery.library import MOST_SEARCHES_BYTES, Library
from unifex.gallery.pictures import thumbnail_origin
from unifex.gallery.rebuild import SUFFIX, Rebuilt, open_foreign, rebuild
from unifex.gallery.records import Record
from unifex.models import hub
from unifex.models.backbones import BackboneError
from unifex.models.embedder import RAW, ModelError
from unifex.models.hub import HubFile

ON_HUB = "gallery.zip"
log = logging.getLogger("unifex")
_NO_FEATURES = to_say("{name} holds {dtype} {shape}, not features of {rows} images")


@dataclass(frozen=True)
class Packed:
    """Where the bundle is, what it holds; ``images``: whether the images themselves are in it; ``searches``: how many
    saved ones."""

    path: str
    items: int
    bytes: int
    images: bool
    searches: int = 0


def pack(
    gallery: Gallery, out: Path, images: bool = False, searches: Path | None = None, places: bool = False
) -> Work[Packed]:
    """Write a gallery as a zip.

    ``images``: the images themselves, too, so that they can be seen large elsewhere; else their thumbnails only.
    ``searches``: the file of its saved ones (:meth:`Library.searches_path`), if they shall go with it and there are
    some. ``places``: also where pictures were taken, as far as columns tell; image files say what they say. Raises
    ``GalleryError`` when the gallery is being written, or when an image that shall go with it is gone or changed.
    Nothing is written in a gallery that can only be read. An earlier pack is replaced, no other file.
    """
    ready(out)
    if out.is_file() and out.stat().st_size and not is_bundle(out):
        raise GalleryError(say("'{out}' is there already and is no packed gallery, so it stays; name another", out=out))
    with (
        whole_file(out) as unfinished,
        _at_rest(gallery),
        tempfile.TemporaryDirectory(prefix="unifex-pack-") as scratch,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
    ):
        records = _originals(gallery) if images else {}
        files, hashes = _files(gallery, Path(scratch), records, places), {}
        kept = _searches(searches)
        if kept:
            files[SEARCHES_FILE] = lambda: with_checksum({"searches": kept})
        _check_fits(gallery, len(files))
        stage = Stage(to_say("packing"), len(files), to_say("files"))
        for done, (name, content) in enumerate(sorted(files.items())):
            if done % 64 == 0:
                yield stage.at(done)
            if isinstance(content, Path):
                hashes[name] = file_hash(content)
                archive.write(content, name)
            elif data := content():
                hashes[name] = hashlib.sha256(data).hexdigest()
                archive.writestr(name, data)
        c = gallery.config
        contents = Contents(
            gallery.name, c.backbone, c.backbone_hash, c.model, c.neck_hash, len(gallery), images, hashes
        )
        archive.writestr(CONTENTS, json.dumps(asdict(contents)))
    return Packed(str(out), contents.items, out.stat().st_size, images, len(kept))


def _check_fits(gallery: Gallery, files: int) -> None:
    """Raises ``GalleryError`` for more files than ``unpack`` takes: it would be of no use."""
    if files >= MAX_ENTRIES:  # one more says what they are
        raise GalleryError(
            say(
                "gallery '{name}' cannot be packed: it has {files:,} files, and a bundle at most {most:,}; pack it "
                "without its images, or galleries of some of its items",
                name=gallery.name,
                files=files,
                most=MAX_ENTRIES,
            )
        )


@contextlib.contextmanager
def _at_rest(gallery: Gallery) -> Iterator[None]:
    """Nobody changes the gallery meanwhile. Where it can only be read, its lock cannot be had: that nothing was
    committed is looked at in the end. Raises ``GalleryError`` where something was."""
    with contextlib.ExitStack() as held:
        version = None
        try:
            held.enter_context(gallery.write())
        except disk.NotWritable:
            version = gallery.database.version()
        yield
        if version is not None and version != gallery.database.version():
            raise GalleryError(say("gallery '{name}' changed while it was packed; pack it again", name=gallery.name))


def _searches(path: Path | None) -> list[Any]:
    """Saved searches as they are stored; what cannot be read stays where it is."""
    try:
        data = path.read_bytes() if path and path.stat().st_size <= MOST_SEARCHES_BYTES else b""
        return list(verify(data, required=True)["searches"]) if data else []
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("saved searches are not packed: %s", reason(error))
        return []


def _files(
    gallery: Gallery, scratch: Path, originals: dict[str, Record], places: bool
) -> dict[str, Path | Callable[[], bytes]]:
    """Name in the bundle -> the file, or what gives its bytes, for everything that goes into it."""
    try:
        with gallery.database.connect() as database:
            database.execute("BEGIN")  # all reads see one commit
            place = f"{PACKED}{gallery.config.id}"
            name = lambda sha256, _: _original_name(originals.get(sha256))  # noqa: E731
            rebuilt = rebuild(database, scratch / ITEMS, place, name, () if places else PLACE)
    except ValueError as error:
        told = say("gallery '{name}' cannot be packed: {reason}", name=gallery.name, reason=error)
        raise GalleryError(told) from error
    found: dict[str, Path | Callable[[], bytes]] = {**searched_with(gallery, scratch), ITEMS: scratch / ITEMS}
    for shard in rebuilt.shards:
        found[f"features/{shard:05d}.npy"] = shard_to_pack(gallery, shard, scratch)
    for sha256, name in rebuilt.originals.items():
        found[f"thumbs/{sha256[:2]}/{sha256}.jpg"] = lambda sha256=sha256: gallery.thumbnail(sha256)
        if name:
            record = originals[sha256]
            found[f"originals/{sha256[:2]}/{name}"] = lambda record=record: _image_of(gallery, record)
    return found


def _originals(gallery: Gallery) -> dict[str, Record]:
    """An item of every image that the gallery shows."""
    return {record.sha256: record for record in gallery.records(gallery.snapshot().columns.ids)}


def _original_name(record: Record | None) -> str:
    if record is None:
        return ""
    suffix = Path(record.original or record.uri).suffix.lower()[:8]
    return record.sha256 + (suffix if re.fullmatch(SUFFIX, suffix) else ".img")


def _image_of(gallery: Gallery, record: Record) -> bytes:
    """What goes with the gallery: the very bytes that were indexed, and an image, whatever the database says."""
    try:
        data = gallery.original(record)
        images.decode(data, at_least=thumbnails.THUMBNAIL_SIZE)
        return data
    except (GalleryError, images.ImageError) as error:
        told = say(
            "'{path}' is no longer where it was, or what it was ({reason}): pack without images, or index again",
            path=record.path,
            reason=error,
        )
        raise GalleryError(told) from error


def free_place(name: str, library: Library) -> Path:
    """Where a gallery of this name would lie. Raises ``GalleryError`` where there is one, be it the server's."""
    folder = library.place(name)
    if folder.name in library.names() or folder.exists():
        raise GalleryError(say("there is a gallery '{name}' already; choose another name", name=folder.name))
    return folder


def unpack(bundle: Path, name: str, library: Library) -> Work[Gallery]:
    """Make a gallery of a bundle.

    Its neck becomes a model of that name, unless it is here already. Raises ``GalleryError`` for a bundle that is
    damaged or of another kind, and for a name that is taken. Searching needs the backbone it names.
    """
    folder = free_place(name, library)
    with new_gallery(folder) as new, refusing(bundle.name), zipfile.ZipFile(bundle) as archive:
        packed = BundleFile.open(archive, bundle)
        if disk.free(new) < packed.bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), new.name)
        config = _config(packed)
        rebuilt = _rebuild_items(packed, new, f"{PACKED}{config.id}")
        widths: set[int] = set()
        stage = Stage(to_say("unpacking"), len(packed.infos), to_say("files"))
        for done, extract in enumerate(_extractors(packed, new, rebuilt, widths)):
            if done % 64 == 0:
                yield stage.at(done)
            extract()
        config = adopt_model(packed, config, new, library, widths)
        if SEARCHES_FILE in packed.infos:  # looked at whenever they are read, since they need not be one's own
            disk.make_folder(library.searches_path(config.id).parent)
            write_atomically(library.searches_path(config.id), packed.read(SEARCHES_FILE))
        (new / "gallery.json").write_bytes(with_checksum(asdict(config)))
    gallery = library.get(folder.name)
    _make_ready(gallery)
    return gallery


def _config(packed: BundleFile) -> GalleryConfig:
    """Its configuration, as far as it may come from elsewhere: an id of its own, no store, no models before."""
    values = verify(packed.read("gallery.json"))
    if values.get("schema") != SCHEMA:
        raise ValueError(say("gallery.json has format {format!r}; update UniFEx", format=values.get("schema")))
    config = GalleryConfig(**values)
    own = replace(config, id=uuid.uuid4().hex, previous="", dims={}, store="", collection="")
    if own.model != RAW + own.backbone:
        check_name(own.model, to_say("model"))
    return own


def _rebuild_items(packed: BundleFile, new: Path, place: str) -> Rebuilt:
    """Write ``items.sqlite`` afresh. Raises ValueError for a database of another kind."""
    theirs = new / "theirs.sqlite"
    packed.extract(ITEMS, theirs)

    def original(sha256: str, name: str) -> str:
        if name and not re.fullmatch(sha256 + SUFFIX, name):
            raise ValueError(say("an image's name is not its own"))
        return name if f"originals/{sha256[:2]}/{name}" in packed.infos else ""

    try:
        with closing(open_foreign(theirs)) as database:
            return rebuild(database, new / ITEMS, place, original)
    except (ValueError, sqlite3.Error) as error:
        raise ValueError(say("items.sqlite is not one that UniFEx wrote: {reason}", reason=error)) from error
    finally:
        theirs.unlink()


def _extractors(packed: BundleFile, new: Path, rebuilt: Rebuilt, widths: set[int]) -> Iterator[Callable[[], None]]:
    """What extracts each file that an item needs. ``widths``: how many features there are an image, noted there."""
    (new / "features").mkdir()
    for shard, rows in rebuilt.shards.items():
        yield lambda shard=shard, rows=rows: _extract_shard(packed, new, shard, rows, widths)
    for sha256, name in rebuilt.originals.items():
        yield lambda sha256=sha256, name=name: _extract_image(packed, new, sha256, name)


def _extract_shard(packed: BundleFile, new: Path, shard: int, rows: int, widths: set[int]) -> None:
    """Features of another: of one width, finite, and their checksum is noted."""
    name = f"features/{shard:05d}.npy"
    packed.extract(name, new / name)
    with (new / name).open("rb") as file:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if len(shape) != 2 or shape[0] != rows or not 0 < shape[1] <= WIDEST or fortran or dtype != np.float16:
        raise ValueError(say(_NO_FEATURES, name=name, dtype=dtype, shape=shape, rows=rows))
    widths.add(shape[1])
    if len(widths) > 1 or (new / name).stat().st_size != start + rows * shape[1] * 2:
        raise ValueError(say("{name} is not as wide, or not as long, as it should be", name=name))
    if rows and not np.isfinite(np.load(new / name, mmap_mode="r")).all():
        raise ValueError(say("{name} holds features that are not finite", name=name))
    with closing(sqlite3.connect(new / ITEMS)) as database, database:
        database.execute("UPDATE shards SET checksum = ? WHERE id = ?", (packed.hashes[name], shard))


def _extract_image(packed: BundleFile, new: Path, sha256: str, original: str) -> None:
    """An image's thumbnail and, if it is there, the image, which must be what it is called."""
    folder = f"{sha256[:2]}/{sha256}"
    for name in (f"thumbs/{folder}.jpg", f"thumbs/{folder}.webp"):
        if name in packed.infos:
            data = thumbnails.checked_thumbnail(derived.without_fingerprint(packed.read(name)))
            path = new / f"thumbs/{folder}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            derived.write_bytes(path, data, thumbnail_origin(sha256), durable=False)
            break
    if original:
        name = f"originals/{sha256[:2]}/{original}"
        data = packed.read(name)
        if images.content_hash(data) != sha256:
            raise ValueError(say("{name} is not the image that it is called", name=name))
        if not images.looks_like_image(data[:32]):
            raise ValueError(say("{name} is not an image", name=name))
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(data)


def _make_ready(gallery: Gallery) -> None:
    """Keep what is derived from it, where its backbone is here; else that is for who brings the backbone."""
    with gallery.write(), contextlib.suppress(ModelError, BackboneError):
        gallery.derived.save()


def push(
    gallery: Gallery,
    repo: str,
    images: bool = False,
    private: bool = True,
    searches: Path | None = None,
    places: bool = False,
) -> Work[str]:
    """Put a gallery on the hub as a data set, private unless told otherwise; its address. Else as :func:`pack`.

    Raises ``HubError`` and ``GalleryError``.
    """
    hub.check_push(repo, "dataset", private)
    with tempfile.TemporaryDirectory(prefix="unifex-push-") as scratch:
        yield from pack(gallery, Path(scratch) / ON_HUB, images, searches, places)
        (Path(scratch) / "README.md").write_text(_card(gallery, repo), encoding="utf-8")
        return hub.push(Path(scratch), repo, "dataset", private)


def pull(repo: str, name: str, library: Library) -> Work[Gallery]:
    """Fetch a gallery from the hub as it is there now, offline as it was fetched before.

    Raises ``HubError`` and ``GalleryError``.
    """
    file = HubFile(repo, (ON_HUB,), "dataset")
    yield from hub.fetch(file, newest=True)
    fetched = hub.find(file)
    if fetched is None:
        raise GalleryError(
            say("{file} of '{repo}' went while it was being read; fetch it again", file=ON_HUB, repo=repo)
        )
    return (yield from unpack(fetched, name, library))


def _card(gallery: Gallery, repo: str) -> str:
    facts = gallery.facts()
    domains = "\n".join(f"| {domain or 'no domain'} | {count:,} |" for domain, count in facts.domains.items())
    return f"""---
tags: [unifex, image-retrieval]
---

# {gallery.name}

A gallery of UniFEx: {facts.items:,} items with {facts.labels:,} labels, as features of {facts.backbone}, searched with
{facts.model} ({facts.dim}-d).

    python -m unifex unpack hf:{repo} --gallery NAME

| domain | items |
| --- | --- |
{domains}
"""
