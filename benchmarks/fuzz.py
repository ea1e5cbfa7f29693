"""Mutated files: each is read or refused with a reason, and nothing else happens.

    python -m benchmarks.fuzz [--files 20000] [--others 1000] [--seed 0]

Starts from small sound files, images of every format that Pillow writes here (plain, large, with EXIF, ICC, animation,
palette and 16 bits), archives, manifests, models, galleries and packed galleries, and changes bytes, cuts, doubles and
swaps stretches, and grows numbers: ``--files`` images, and ``--others`` of every other kind. A gallery with a damaged
file must answer as before, or be refused. Prints what came of it a format.
"""

from __future__ import annotations

import argparse
import io
import logging
import random
import shutil
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.support.drawing import encoded, picture, write_folder
from unifex.core.errors import UnifexError
from unifex.core.images import ImageError, decode
from unifex.core.progress import finish
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery import bundle
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.library import Library
from unifex.models.embedder import BUNDLED_MODELS, DEFAULT_MODEL, FILES, Embedder

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
SECONDS = 10.0  # a file may take so long
REFUSALS = (UnifexError,)


@dataclass(frozen=True)
class Kind:
    """Sound files of one kind, and what to do with one: it raises one of REFUSALS, or says whether all was right."""

    seeds: list[bytes]
    use: Callable[[bytes], bool]


def images() -> dict[str, Kind]:
    """By format."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    small, large = picture("signs/stripes", 1, side=40), picture("signs/cross", 2, side=300)
    made: dict[str, list[bytes]] = {}
    for format, variants in {
        "JPEG": [{}, {"exif": exif, "icc_profile": b"x" * 200}, {"progressive": True}],
        "PNG": [{}, {"exif": exif}, {"save_all": True}],
        "WEBP": [{}, {"lossless": True, "exif": exif}, {"save_all": True}],
        "GIF": [{}, {"save_all": True}],
        "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"save_all": True}],
        "BMP": [{}],
        "AVIF": [{}],
        "HEIF": [{}],
        "PPM": [{}],
    }.items():
        for options in variants:
            for image in (small, large, small.convert("L"), small.convert("I;16")):
                if image.mode == "I;16" and options.get("compression") == "jpeg":
                    continue  # writing this damages libtiff's memory; reading is what is tried here
                more = {"append_images": [image.rotate(90)] * 2} if "save_all" in options else {}
                try:
                    stream = io.BytesIO()
                    image.save(stream, format, **options, **more)
                except (OSError, ValueError, KeyError):  # not every format holds every kind of pixel
                    continue
                made.setdefault(format, []).append(stream.getvalue())
    return {format: Kind(seeds, _use_image) for format, seeds in made.items()}


def _use_image(data: bytes) -> bool:
    shown = decode(data, at_least=224).image
    return shown.mode == "RGB" and min(shown.size) > 0


def others(scratch: Path) -> dict[str, Kind]:
    """Archives, manifests, models, galleries, packed galleries."""
    model = BUNDLED_MODELS / DEFAULT_MODEL
    gallery, packed = _small_gallery(scratch)
    kinds = {
        "zip": Kind(_archives(), lambda data: _use_source(data, scratch / "a.zip")),
        "csv": Kind(_manifests(scratch), lambda data: _use_source(data, scratch / "a.csv")),
        "packed gallery": Kind([packed], lambda data: _use_packed(data, scratch)),
    }
    for name in FILES:
        kinds[name] = Kind([(model / name).read_bytes()], lambda data, name=name: _use_model(data, name, scratch))
    for file in sorted(path for path in gallery.folder.rglob("*") if path.is_file() and path.stat().st_size):
        shown = file.relative_to(gallery.folder)
        if shown.parts[0] != "thumbs":
            kinds[str(shown)] = Kind(
                [file.read_bytes()], lambda data, shown=shown: _use_gallery(data, shown, gallery, scratch)
            )
    return kinds


def _archives() -> list[bytes]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for view in range(3):
                archive.writestr(f"signs/cross/{view}.png", encoded(picture("signs/cross", view, side=40)))
        made.append(stream.getvalue())
    return made


def _manifests(scratch: Path) -> list[bytes]:
    (scratch / "1.png").write_bytes(encoded(picture("signs/cross", 1, side=40)))
    text = "path,label,domain,split\n1.png,cross,signs,train\n2.png,disc,shapes,query\n" * 3
    return [text.encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16")]


def _use_source(data: bytes, path: Path) -> bool:
    path.write_bytes(data)
    for found in open_source(str(path)):
        if isinstance(found, Item):
            try:
                decode(found.read())
            except (ImageError, OSError):  # one file of it, refused by name
                continue
    return True


def _use_model(data: bytes, name: str, scratch: Path) -> bool:
    folder = scratch / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(BUNDLED_MODELS / DEFAULT_MODEL, folder)
    (folder / name).write_bytes(data)
    loaded = Embedder.load(str(folder))
    return loaded.default_dim in loaded.neck.dims


def _small_gallery(scratch: Path) -> tuple[Gallery, bytes]:
    gallery = Gallery.create(scratch / "sound" / "gallery", Embedder.load())
    finish(index(gallery, str(write_folder(scratch / "pictures", 2))))
    gallery.snapshot()
    finish(bundle.pack(gallery, scratch / "packed.zip"))
    return gallery, (scratch / "packed.zip").read_bytes()


def _use_gallery(data: bytes, name: Path, sound: Gallery, scratch: Path) -> bool:
    """With a damaged file, and where that is not a derived one, without those: they would be used instead."""
    folder = scratch / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound.folder, folder)
    (folder / name).write_bytes(data)
    if name.parts[0] == "features":
        (folder / "embeddings.json").unlink()
    return _answers(Gallery.open(folder, sound.embedder)) == _answers(sound)


def _answers(gallery: Gallery) -> tuple:
    current = gallery.snapshot()
    return current.columns.ids.tolist(), current.columns.labels.texts.tolist(), current.embeddings.tobytes()


def _use_packed(data: bytes, scratch: Path) -> bool:
    shutil.rmtree(scratch / "unpacked", ignore_errors=True)
    (scratch / "mutated.zip").write_bytes(data)
    opened = finish(bundle.unpack(scratch / "mutated.zip", "gallery", Library(scratch / "unpacked")))
    return len(opened.snapshot()) == 8


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to eight changes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if not out:
            break
        at, kind = rng.randrange(len(out)), rng.randrange(6)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            width = rng.choice((1, 2, 4))
            value = rng.choice(INTERESTING) & ((1 << 8 * width) - 1)
            out[at : at + width] = value.to_bytes(width, rng.choice(("big", "little")))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + rng.randint(1, 64)]
        elif kind == 4:
            out[at:at] = out[at : at + rng.randint(1, 64)]
        else:
            other = rng.randrange(len(out))
            out[at : at + 16], out[other : other + 16] = out[other : other + 16], out[at : at + 16]
    return bytes(out)


def outcome(kind: Kind, data: bytes) -> str:
    """read, refused, or what is wrong."""
    started = time.perf_counter()
    try:
        found = "read" if kind.use(data) else "wrong: other contents"
    except REFUSALS as error:
        found = "refused" if 0 < len(str(error)) < 400 and "\n" not in str(error) else f"wrong: {str(error)[:300]!r}"
    except Exception as error:  # that is what is looked for
        found = f"wrong: {type(error).__name__}: {str(error)[:200]}"
    return found if time.perf_counter() - started < SECONDS else "wrong: slow"


def main() -> None:
    """Print the table; exit code 1 when anything else than a result or a refusal came of a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--others", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("unifex").setLevel(logging.ERROR)
    rng, wrong, total = random.Random(arguments.seed), [], Counter()
    print(f"{'kind':24}{'files':>8}{'read':>8}{'refused':>9}{'wrong':>7}", flush=True)
    with tempfile.TemporaryDirectory(prefix="unifex-fuzz-") as scratch:
        pictures = images()
        kinds = [(name, kind, -(-arguments.files // len(pictures))) for name, kind in pictures.items()]
        kinds += [(name, kind, arguments.others) for name, kind in others(Path(scratch)).items()]
        for name, kind, files in kinds:
            assert all(outcome(kind, seed) == "read" for seed in kind.seeds), f"the sound {name} is not read"
            counts = Counter()
            for _ in range(files):
                found = outcome(kind, mutate(rng.choice(kind.seeds), rng))
                counts[found.partition(":")[0]] += 1
                wrong += [f"{name}: {found}"] if found.startswith("wrong") else []
            _print_row(name, counts)
            total += counts
    _print_row("all", total)
    print("\n".join(wrong[:20]))
    raise SystemExit(bool(wrong))


def _print_row(name: str, counts: Counter) -> None:
    print(f"{name:24}{counts.total():8}{counts['read']:8}{counts['refused']:9}{counts['wrong']:7}", flush=True)


if __name__ == "__main__":
    main()
