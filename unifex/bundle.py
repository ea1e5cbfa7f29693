"""A gallery that travels: one zip of features, embeddings, index, items, thumbnails, hashes and the neck.

The bundle is a gallery's own folder with two differences: nothing in it tells where on the sender's computer the images
lay, and ``bundle.json`` has the sha256 of every file, which unpacking checks. The backbone is named, not packed.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from unifex import hub, snapshot
from unifex.archive import BUNDLE_CONTENTS as CONTENTS
from unifex.embedder import FILES, ModelConfig, ModelError, find_model, read_neck
from unifex.gallery import Gallery, GalleryConfig, GalleryError
from unifex.hub import Fetched, HubFile
from unifex.indexes import Indexes, check_name
from unifex.soundness import file_hash, new_folder, sealed, unsealed, whole_file
from unifex.text import is_of_disk

SCHEMA = 1
ON_HUB = "gallery.zip"
_DERIVED = ("embeddings.npy", "ids.npy", "derived.json", "index.faiss", "neighbours.npz", "calibration.json")
# Items are named by the bundle; corrections and refusals follow; where they came from is nobody's business.
_ANONYMOUS = """
CREATE TEMP TABLE named AS SELECT uri AS old, 'bundle:{id}/' || id || '/' || path AS new FROM items;
DELETE FROM corrections WHERE uri NOT IN (SELECT old FROM named)
    OR other_uri != '' AND other_uri NOT IN (SELECT old FROM named);
UPDATE corrections SET uri = (SELECT new FROM named WHERE old = uri),
    other_uri = COALESCE((SELECT new FROM named WHERE old = other_uri), '');
UPDATE items SET uri = 'bundle:{id}/' || id || '/' || path, source = 1;
UPDATE OR REPLACE refused SET source = 1;
UPDATE features SET stored = NULL;
DELETE FROM listings;
INSERT INTO listings SELECT id, 1, path, label, domain, split, 0 FROM items;
DELETE FROM sources;
INSERT INTO sources (id, spec, keep, complete) VALUES (1, 'bundle:{id}', 1, 1);
"""


@dataclass(frozen=True)
class Packing:
    """``done`` of ``total`` files are in the bundle, or out of it."""

    done: int
    total: int


@dataclass(frozen=True)
class Packed:
    """Where the bundle is, what it holds; ``images``: whether the images themselves are in it."""

    path: str
    items: int
    bytes: int
    images: bool


@dataclass(frozen=True)
class Contents:
    """``bundle.json``: what the bundle is of; ``files``: sha256 by name."""

    name: str
    backbone: str
    backbone_hash: str
    model: str
    neck_hash: str
    items: int
    images: bool
    files: dict[str, str]
    schema: int = SCHEMA


def pack(gallery: Gallery, out: Path, images: bool = False) -> Iterator[Packing | Packed]:
    """Write a gallery as a zip; yields how far it is and, last, what came of it.

    ``images``: the images themselves, too, so that they can be seen large elsewhere; else their thumbnails only. Raises
    ``GalleryError`` when the gallery is being written, or when an image that shall go with it is gone.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as unfinished:
        with gallery.write(), tempfile.TemporaryDirectory(prefix="unifex-pack-") as scratch:
            snapshot.save(gallery)
            files = _files(gallery, Path(scratch), images)
            contents, hashes = _contents(gallery, images), {}
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
                for done, (name, path) in enumerate(sorted(files.items())):
                    if done % 64 == 0:
                        yield Packing(done, len(files))
                    hashes[name] = file_hash(path)
                    archive.write(path, name)
                archive.writestr(CONTENTS, json.dumps(asdict(replace(contents, files=hashes))))
    yield Packed(str(out), contents.items, out.stat().st_size, images)


def _contents(gallery: Gallery, images: bool) -> Contents:
    c = gallery.config
    return Contents(gallery.name, c.backbone, c.backbone_hash, c.model, c.neck_hash, len(gallery), images, {})


def _files(gallery: Gallery, scratch: Path, images: bool) -> dict[str, Path]:
    """Name in the bundle -> file, for everything that goes into it."""
    folder = gallery.folder
    found = {name: folder / name for name in _DERIVED if (folder / name).is_file()}
    for kind in ("features", "thumbs", *(["originals"] if images else [])):
        places = (path for path in (folder / kind).rglob("*") if path.is_file() and path.suffix != ".tmp")
        found |= {path.relative_to(folder).as_posix(): path for path in places}
    found["items.sqlite"] = _items(gallery, scratch / "items.sqlite")
    config = scratch / "gallery.json"
    config.write_bytes(sealed(asdict(replace(gallery.config, store="", collection=""))))
    found["gallery.json"] = config
    if not gallery.config.model.startswith("raw:"):  # a bare backbone has no neck
        gallery.embedder.save(scratch / "model")
        found |= {f"model/{name}": scratch / "model" / name for name in FILES}
    with closing(sqlite3.connect(found["items.sqlite"])) as database, database:
        if images:
            found |= _originals(gallery, database)
        else:
            database.execute("UPDATE features SET original = ''")
    return found


def _items(gallery: Gallery, path: Path) -> Path:
    """A copy of the items that says nothing of this computer."""
    with gallery.connect() as database, closing(sqlite3.connect(path)) as copy:
        database.backup(copy)
        copy.executescript(_ANONYMOUS.format(id=gallery.config.id))
        copy.commit()
        copy.execute("VACUUM")  # what was overwritten must not be readable in free pages
    return path


def _originals(gallery: Gallery, items: sqlite3.Connection) -> dict[str, Path]:
    """The images that the gallery did not keep itself, under the names that the copy of its items gets for them."""
    found = {}
    for record in gallery.records(gallery.snapshot().columns.ids):
        if record.original:
            continue
        path = Path(record.uri)
        if not path.is_file():
            raise GalleryError(f"'{record.path}' is no longer where it was: pack without images, or index again")
        name = record.sha256 + (path.suffix.lower()[:8] or ".img")
        found[f"originals/{record.sha256[:2]}/{name}"] = path
        items.execute("UPDATE features SET original = ? WHERE sha256 = ?", (name, record.sha256))
    return found


def is_bundle(path: Path) -> bool:
    """Whether a file is what :func:`pack` writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return CONTENTS in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def unpack(bundle: Path, name: str, indexes: Indexes) -> Iterator[Packing | Gallery]:
    """Make a gallery of a bundle; yields how far it is and, last, the gallery.

    Its neck becomes a model of that name, unless it is here already. Raises ``GalleryError`` for a bundle that is
    damaged or of another kind, and for a name that is taken. Searching needs the backbone it names.
    """
    folder = indexes.folder / check_name(name)
    if folder.exists():
        raise GalleryError(f"there is a gallery '{folder.name}' already; give another name")
    with new_folder(folder) as new:
        try:
            with zipfile.ZipFile(bundle) as archive:
                contents = _read_contents(archive, bundle)
                for done, (file, sha256) in enumerate(contents.files.items()):
                    if done % 64 == 0:
                        yield Packing(done, len(contents.files))
                    _unpack_file(archive, file, sha256, new)
            _check_items(new / "items.sqlite")
            _adopt_model(new, indexes)
        except (zipfile.BadZipFile, sqlite3.Error, KeyError, OSError, ValueError, ModelError) as error:
            if is_of_disk(error):
                raise
            raise GalleryError(f"{bundle.name} is not a gallery that can be used: {error}") from error
    yield indexes.get(folder.name)


def _read_contents(archive: zipfile.ZipFile, bundle: Path) -> Contents:
    try:
        values = json.loads(archive.read(CONTENTS))
        contents = Contents(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise GalleryError(f"{bundle.name} is not a bundle: it has no {CONTENTS} that can be read") from error
    if contents.schema != SCHEMA:
        raise GalleryError(f"{bundle.name} has format {contents.schema}, this program reads {SCHEMA}; update UniFEx")
    return contents


def _unpack_file(archive: zipfile.ZipFile, name: str, sha256: str, folder: Path) -> None:
    """Raises ValueError for a name that leaves the folder and for a file that is not what it should be."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or Path(name).is_absolute():
        raise ValueError(f"'{name[:80]}' leaves the gallery")
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    if file_hash(path) != sha256:
        raise ValueError(f"{name} is damaged")


def _check_items(path: Path) -> None:
    """Raises ValueError for rows that would name files outside the gallery, and for a database with code of its own."""
    with closing(sqlite3.connect(path)) as database:
        odd = database.execute(
            "SELECT COUNT(*) FROM features WHERE length(sha256) != 64 OR sha256 GLOB '*[^0-9a-f]*' "
            "OR (COALESCE(original, '') != '' AND original NOT GLOB sha256 || '.[a-z0-9]*') OR original GLOB '*/*'"
        ).fetchone()[0]
        triggers = database.execute("SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0]
    if odd or triggers:
        raise ValueError("items.sqlite is not one that UniFEx wrote")


def _adopt_model(folder: Path, indexes: Indexes) -> None:
    """The neck in the bundle becomes a model here, under a free name where its own means another neck."""
    config = GalleryConfig(**unsealed((folder / "gallery.json").read_bytes()))
    packed = folder / "model"
    if packed.is_dir():
        model = ModelConfig.read(packed / FILES[0])
        neck_hash = read_neck(packed).hash
        if neck_hash != config.neck_hash:
            raise ValueError("its neck is not the one that it was made with")
        check_name(model.name, "model")
        names = (model.name, *(f"{model.name}-{number}" for number in range(2, 1000)))
        name = next(name for name in names if _neck_here(name, indexes.models) in (None, neck_hash))
        if _neck_here(name, indexes.models) is None:
            (packed / FILES[0]).write_text(json.dumps({**asdict(model), "name": name}), encoding="utf-8")
            indexes.models.mkdir(parents=True, exist_ok=True)
            packed.rename(indexes.models / name)
        shutil.rmtree(packed, ignore_errors=True)
        config = replace(config, model=name)
    (folder / "gallery.json").write_bytes(sealed(asdict(replace(config, previous="", store="", collection=""))))


def _neck_here(name: str, models: Path) -> str | None:
    """The hash of the neck that a model of this name has here; None when there is no such model."""
    try:
        return read_neck(find_model(name, models)).hash
    except ModelError:
        return None


def push(gallery: Gallery, repo: str, images: bool = False, private: bool = True) -> Iterator[Packing | str]:
    """Put a gallery on the hub as a data set; yields its address last. Private unless told otherwise.

    Raises ``HubError`` and ``GalleryError``.
    """
    hub.check_reachable(repo)
    with tempfile.TemporaryDirectory(prefix="unifex-push-") as scratch:
        for event in pack(gallery, Path(scratch) / ON_HUB, images):
            if isinstance(event, Packing):
                yield event
        (Path(scratch) / "README.md").write_text(_card(gallery, repo), encoding="utf-8")
        yield hub.push(Path(scratch), repo, "dataset", private)


def pull(repo: str, name: str, indexes: Indexes) -> Iterator[Fetched | Packing | Gallery]:
    """Fetch a gallery from the hub; yields it last. Raises ``HubError`` and ``GalleryError``."""
    file = HubFile(repo, (ON_HUB,), "dataset")
    yield from hub.fetch(file)
    yield from unpack(hub.find(file), name, indexes)


def _card(gallery: Gallery, repo: str) -> str:
    facts = gallery.facts()
    domains = "\n".join(f"| {domain or 'no domain'} | {count:,} |" for domain, count in facts.domains.items())
    return f"""---
tags: [unifex, image-retrieval]
---

# {gallery.name}

A gallery of UniFEx: {facts.items:,} items with {facts.labels:,} labels, as features of {facts.backbone} and embeddings
of {facts.model} ({facts.dim}-d).

    python -m unifex unpack hf:{repo} --gallery NAME

| domain | items |
| --- | --- |
{domains}
"""
