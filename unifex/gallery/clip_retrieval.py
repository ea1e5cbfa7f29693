"""The layout of clip-retrieval (github.com/rom1504/clip-retrieval), in and out.

Row i of ``img_emb_N.npy`` belongs to row i of ``metadata_N.parquet``; the arrays lie in ``img_emb/`` and the tables in
``metadata/``, or all in one folder. Its embeddings are a backbone's *features* here, so that necks, words and
everything else work on them. What is written has length 1, as other programs want it; a neck does not, so that the
table keeps how long features were.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unifex.core import images, thumbnails
from unifex.core.files import ready, whole_file, write_atomically
from unifex.core.json_text import parse_json
from unifex.core.language import to_say
from unifex.core.metadata import PLACE, keywords
from unifex.core.progress import Stage, Work
from unifex.core.text import printable, reason
from unifex.core.vectors import l2_normalize
from unifex.data.item import Item, Labels, SourceError
from unifex.data.listed import split_of
from unifex.data.splits import is_split
from unifex.gallery.database import is_digest
from unifex.gallery.errors import ItemsGone
from unifex.gallery.gallery import Gallery
from unifex.gallery.rebuild import MOST_EXTRA, MOST_LABEL, MOST_PATH
from unifex.gallery.records import Embedded
from unifex.models import zoo
from unifex.models.embedder import Embedder

SHARD_ROWS = 100_000
BATCH_ROWS = 4096
PATH_COLUMNS = ("image_path", "path", "url", "key")
KEPT_COLUMNS = (
    "label", "domain", "split", "caption", "sha256", "path", "width", "height", "bytes", "thumbnail", "extra",
    "feature_length", "tags",
)  # fmt: skip
_SHARD = re.compile(r"(img_emb|metadata)_(\d+)\.(npy|parquet)")
_OURS = {b"unifex": b"gallery"}  # what a table says that `clip --write` wrote
PLAN = "plan.json"  # what `embed --engine ray` notes beside its shards


@dataclass(frozen=True)
class Moved:
    """The outcome: ``rows`` of ``dim`` values; ``pictures`` of them were found and have a thumbnail."""

    path: str
    rows: int
    dim: int
    pictures: int = 0


def write(
    gallery: Gallery,
    out: Path,
    features: bool = False,
    dim: int | None = None,
    places: bool = False,
    replace: bool = False,
) -> Work[Moved]:
    """Write a gallery's embeddings (``dim``: other than its own) or ``features``, L2 norm 1, float16, and its table.

    Columns of the table: image_path, label, domain, split, sha256, of features feature_length; where items have more,
    extra, which is JSON, and tags, which are lists. Where pictures were taken is in it with ``places``. Shards of a
    larger gallery that lie there go at the end. Raises ``ItemsGone`` for what was removed meanwhile, and
    ``SourceError`` where shards lie that this did not write, unless it is to ``replace`` them.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if (others := [file for file in _shard_files(out) if not _is_ours(file)]) and not replace:
        raise SourceError(
            f"'{others[0]}' is there already, and of another program; name another folder, or --replace it"
        )
    dim = gallery.dim_of(dim)
    for place in (_table_of(out, 0), _array_of(out, 0)):
        ready(place)
    current = gallery.snapshot()
    ids = current.columns.ids
    embeddings = None if features else gallery.index_of(current, dim).embeddings
    stage = Stage(to_say("writing"), len(ids), to_say("rows"))
    for number, start in enumerate(range(0, len(ids), SHARD_ROWS)):
        yield stage.at(start)
        stop = start + SHARD_ROWS
        records = gallery.records(ids[start:stop])
        if len(records) < len(ids[start:stop]):
            raise ItemsGone(gallery.name)
        names = ("label", "domain", "split", "sha256")
        columns: dict[str, Any] = {name: [getattr(record, name) for record in records] for name in names}
        labels = [record.labels if places else record.labels.without(PLACE) for record in records]
        if any(said.extra for said in labels):
            columns["extra"] = [said.row[3] for said in labels]
        if any(record.tags for record in records):
            columns["tags"] = [list(record.tags) for record in records]
        if embeddings is None:
            vectors, columns["feature_length"] = _units(gallery.features(columns["sha256"]))
        else:
            vectors = embeddings[start:stop]
        table = pa.table({"image_path": [record.uri for record in records], **columns}).replace_schema_metadata(_OURS)
        with whole_file(_table_of(out, number)) as place:
            parquet.write_table(table, place)  # first, since it says whose both are
        array = io.BytesIO()  # numpy's own writing of files does not say why it failed
        np.save(array, vectors.astype(np.float16))
        write_atomically(_array_of(out, number), array.getbuffer())
    _delete_shards(out, -(-len(ids) // SHARD_ROWS))  # those that are left are all to go, or were ours
    return Moved(str(out), len(ids), gallery.embedder.backbone.feature_dim if embeddings is None else dim)


def _table_of(out: Path, number: int) -> Path:
    return out / "metadata" / f"metadata_{number}.parquet"


def _array_of(out: Path, number: int) -> Path:
    return out / "img_emb" / f"img_emb_{number}.npy"


def _units(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features at length 1, and their lengths."""
    return l2_normalize(features, features.shape[1]), np.linalg.norm(features.astype(np.float32), axis=1)


def _delete_shards(out: Path, first: int) -> None:
    """Those with this number and higher: they are of what was there before. An array goes before its table, which says
    whose both are."""
    for file in sorted(_shard_files(out)):
        match = _SHARD.fullmatch(file.name)
        if match and int(match[2]) >= first:
            file.unlink()


def _shard_files(out: Path) -> list[Path]:
    """All arrays and tables that lie where :func:`write` writes."""
    return [file for file in (*out.glob("img_emb/*"), *out.glob("metadata/*")) if _SHARD.fullmatch(file.name)]


def _is_ours(file: Path) -> bool:
    """Whether :func:`write` wrote a shard's array or table; the table says it of both."""
    from pyarrow import ArrowException, parquet

    number = file.stem.rpartition("_")[2]
    try:
        said = parquet.read_schema(file.parent.parent / "metadata" / f"metadata_{number}.parquet").metadata
    except (OSError, ArrowException):
        return False
    return _OURS.items() <= (said or {}).items()


def import_embeddings(folder: Path, gallery: Gallery, pictures: Path | None = None) -> Work[Moved]:
    """Add everything in a folder to a gallery whose backbone made it; images that are here get thumbnails.

    Images are looked for in the folder, or below ``pictures``; elsewhere only where the table has their sha256, and
    nowhere is another taken than that of this sha256.
    Rows that are there already are skipped. Raises ``SourceError`` for a folder of another kind, arrays of another
    width than the backbone's features, and tables that do not fit their arrays.
    """
    _check_plan(folder, gallery)
    pairs = shards(folder)
    total = sum(len(_array(path, gallery.embedder)) for path, _ in pairs)
    stage = Stage(to_say("reading"), total, to_say("rows"))
    done = added = shown = 0
    with gallery.write() as writer:
        source = writer.begin_source(f"clip-retrieval:{folder.resolve()}", keep=False)
        known = set(writer.stored())
        try:
            for path, table in pairs:
                vectors, rows = _array(path, gallery.embedder), _table(table)
                if len(vectors) != len(rows):
                    raise SourceError(f"{path.name} has {len(vectors):,} rows, {table.name} {len(rows):,}")
                for start in range(0, len(rows), BATCH_ROWS):
                    yield stage.at(done)
                    batch = [
                        _embedded(row, vector, folder, pictures)
                        for row, vector in zip(rows[start : start + BATCH_ROWS], vectors[start : start + BATCH_ROWS])
                    ]
                    done += len(batch)
                    named = {entry.item.uri: entry for entry in batch}  # of rows that name one place, the last
                    batch = [entry for uri, entry in named.items() if uri not in known]
                    known.update(named)
                    writer.commit(source, batch)
                    added += len(batch)
                    shown += sum(bool(entry.thumbnail) for entry in batch)
            writer.finish_source(source)
        finally:
            gallery.derived.save()
    return Moved(gallery.name, added, gallery.embedder.backbone.feature_dim, shown)


def shards(folder: Path) -> list[tuple[Path, Path]]:
    """(array, table) of every number. Raises ``SourceError`` when there are none, or one lacks its other half."""
    found: dict[str, dict[int, Path]] = {"img_emb": {}, "metadata": {}}
    for path in folder.rglob("*"):
        if match := _SHARD.fullmatch(path.name):
            found[match[1]][int(match[2])] = path
    arrays, tables = found["img_emb"], found["metadata"]
    if not arrays or arrays.keys() != tables.keys():
        odd = sorted(arrays.keys() ^ tables.keys())
        what = f"number {odd[0]} has no other half" if odd else "it has no img_emb_N.npy and metadata_N.parquet"
        raise SourceError(f"{folder} is not in clip-retrieval's layout: {what}")
    return [(arrays[number], tables[number]) for number in sorted(arrays)]


def _array(path: Path, embedder: Embedder) -> np.ndarray:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path.name} cannot be read: {reason(error)}") from error
    dim = embedder.backbone.feature_dim
    if vectors.ndim == 2 and vectors.shape[1] == dim:
        return vectors
    told = f"{path.name} holds {vectors.shape}; this gallery's backbone gives {dim} features an image: "
    if vectors.ndim == 2 and vectors.shape[1] in embedder.neck.dims:
        raise SourceError(
            f"{told}these are embeddings, as the neck of '{embedder.name}' makes them, and only features can be read; "
            "write them anew with --features (`clip FOLDER --write --features`), or name the --model they are features "
            "of"
        )
    raise SourceError(f"{told}give a --model on the backbone that made it")


def _table(path: Path) -> list[dict[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise SourceError(f"{path.name} cannot be read: {reason(error)}") from error
    names = [name for name in PATH_COLUMNS if name in table.column_names]
    if not names:
        raise SourceError(f"{path.name} has no column {' or '.join(PATH_COLUMNS)} (found: {table.column_names})")
    kept = [name for name in KEPT_COLUMNS if name in table.column_names and name != names[0]]
    return [{**row, "place": str(row[names[0]])} for row in table.select([names[0], *kept]).to_pylist()]


def _embedded(row: dict[str, Any], vector: np.ndarray, folder: Path, pictures: Path | None) -> Embedded:
    """A row of somebody's table. Its texts, hash and thumbnail are checked, and only :func:`_its_picture` is opened."""
    place = printable(str(row["place"]))[:MOST_PATH]
    labels, tags = _labels(row, place), _tags(row)
    vector = np.asarray(vector, np.float32) * _length(row, place)
    said = row.get("sha256")
    if said and not is_digest(said):
        raise SourceError(f"'{place}' has '{str(said)[:80]}' for a sha256")
    if not np.isfinite(vector.astype(np.float16)).all():
        raise SourceError(f"the features of '{place}' are not finite numbers of 16 bits")
    if said and row.get("thumbnail"):
        return _whole(row, vector, place, labels, tags)
    file, data, picture = _its_picture(str(row["place"]), said, folder, pictures, "feature_length" in row)
    if picture is None:  # its embedding was made elsewhere and is as good as before
        sha256 = str(said or hashlib.sha256(place.encode() + vector.tobytes()).hexdigest())
        return Embedded(Item(f"clip-retrieval:{place}", place, _gone, labels, tags=tags), sha256, features=vector)
    item = Item(file.absolute().as_posix(), place, file.read_bytes, labels, tags=tags)
    thumbnail = thumbnails.thumbnail(picture.image)
    sha256 = images.content_hash(data)
    size = picture.width, picture.height, len(data)
    return Embedded(item, sha256, *size, vector, thumbnail, said=picture.said)


def _length(row: dict[str, Any], place: str) -> float:
    """How long its features were before they were written."""
    said = row.get("feature_length")
    length = 1.0 if said is None else said
    if not isinstance(length, float) or not length >= 0:
        raise SourceError(f"'{place}' has '{str(said)[:80]}' for a length of its features")
    return length


def _text(value: object) -> str:
    """Of a cell. A class may be the number 0; an empty cell of a column of numbers is None, or no number."""
    return "" if value is None or value != value else str(value)


def _labels(row: dict[str, Any], place: str) -> Labels:
    label, domain, split = (_text(row.get(name))[:MOST_LABEL] for name in ("label", "domain", "split"))
    extra = _text(row.get("extra"))
    split = split_of(split)[0] if is_split(split) else split
    try:
        if len(extra) > MOST_EXTRA:
            raise ValueError(f"longer than {MOST_EXTRA:,} characters")
        return Labels.from_row(label, domain, split, extra)
    except ValueError as error:
        raise SourceError(f"the further columns of '{place}' cannot be used: {error}") from error


def _tags(row: dict[str, Any]) -> tuple[str, ...]:
    """Of ours a list, of others perhaps a text with commas between."""
    said = row.get("tags") or ()
    return keywords([said] if isinstance(said, str) else map(str, said) if isinstance(said, list) else ())


def _its_picture(
    place: str, sha256: object, folder: Path, pictures: Path | None, exact: bool
) -> tuple[Path, bytes, images.Picture | None]:
    """The file of a row, if it is here and may be looked at: below ``pictures`` or the table's folder, or the very
    bytes that the row was made of; ``exact``: these alone, as tables of ours say (others may mean those of what they
    downloaded). A table must not name just any picture of whoever reads it."""
    roots = [root for root in (pictures, folder) if root]
    for file in (root / place for root in roots):  # an absolute path stays one
        with contextlib.suppress(OSError, ValueError, images.ImageError):
            if not file.is_file() or file.stat().st_size > images.MAX_BYTES:
                continue
            data = file.read_bytes()
            inside = any(file.resolve().is_relative_to(root.resolve()) for root in roots)
            alike = bool(sha256) and images.content_hash(data) == sha256
            if alike if sha256 and exact else alike or inside:
                return file, data, images.decode(data, at_least=thumbnails.THUMBNAIL_SIZE)
    return folder / place, b"", None


def _whole(row: dict[str, Any], vector: np.ndarray, place: str, labels: Labels, tags: tuple[str, ...]) -> Embedded:
    """A row that says all of its image, which need not be read again."""
    try:
        width, height, size = (int(row.get(name) or 0) for name in ("width", "height", "bytes"))
        thumbnail = thumbnails.checked_thumbnail(row["thumbnail"] if isinstance(row["thumbnail"], bytes) else b"")
    except (ValueError, TypeError, images.ImageError) as error:
        raise SourceError(f"the row of '{place}' cannot be used: {error}") from error
    path = printable(_text(row.get("path")) or place)[:MOST_PATH]
    item = Item(str(row["place"]), path, _gone, labels, tags=tags)
    return Embedded(item, str(row["sha256"]), width, height, size, vector, thumbnail)


def _check_plan(folder: Path, gallery: Gallery) -> None:
    """Raises ``SourceError`` when the shards say that they are of another backbone, or of no whole features."""
    try:
        made_of = parse_json((folder / PLAN).read_bytes())
        theirs, dim, called = str(made_of["backbone_hash"]), made_of["dim"], str(made_of["backbone"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{PLAN} is damaged ({reason(error)})") from error
    is_own = theirs == gallery.config.backbone_hash
    if not is_own and not zoo.makes_the_same(gallery.embedder.backbone, called, theirs):
        raise SourceError(
            f"these are features of backbone '{called}' ({theirs}), gallery '{gallery.name}' has "
            f"'{gallery.config.backbone}' ({gallery.config.backbone_hash}): take them into another gallery"
        )
    if dim:
        raise SourceError(f"these are {dim}-d embeddings; a gallery needs features: embed without --dim")
    if len(list(folder.glob("metadata/*.parquet"))) < made_of["parts"]:
        raise SourceError("not all of its shards are there yet; run `embed` again, it goes on where it stopped")


def _gone() -> bytes:
    raise images.ImageError("the image is not on this computer")
