"""How right the levels of near-copies are: drawn variants of pictures, beside other pictures of the same labels.

    python -m benchmarks.duplicates MANIFEST.csv [--originals 300] [--items 10000 100000]

Of each original there is a copy of every kind of ``VARIANTS``; all that the manifest lists lies in the same gallery.
Two pictures are copies where they were drawn from one, and neither is mirrored: a mirrored picture is another. The
manifest has copies of its own; what is found between two of its pictures counts as wrong, so that precision is a bound.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from unifex.core import images, thumbnails
from unifex.core.progress import finish
from unifex.core.tables import to_csv
from unifex.core.vectors import l2_normalize
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery import corrections
from unifex.gallery.duplicates import LEVELS
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.records import Embedded
from unifex.models.embedder import Embedder

SEEDS, NOISE, AT_ONCE = 1000, 0.2, 8192


def resized(share: float) -> Callable[[Image.Image, random.Random], Image.Image]:
    """Both sides at this share of their length."""
    return lambda image, rng: image.resize([max(1, round(share * side)) for side in image.size])


def cropped(share: float) -> Callable[[Image.Image, random.Random], Image.Image]:
    """This share of either side, at a drawn place."""

    def crop(image: Image.Image, rng: random.Random) -> Image.Image:
        width, height = (max(1, round(share * side)) for side in image.size)
        left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        return image.crop((left, top, left + width, top + height))

    return crop


def bordered(image: Image.Image, rng: random.Random) -> Image.Image:
    """A frame of 4 to 10 % of the longer side, of a drawn grey."""
    return ImageOps.expand(image, round(rng.uniform(0.04, 0.1) * max(image.size)), (rng.randrange(256),) * 3)


def lit(image: Image.Image, rng: random.Random) -> Image.Image:
    """Brightness and contrast at 70 to 130 %."""
    brighter = ImageEnhance.Brightness(image).enhance(rng.uniform(0.7, 1.3))
    return ImageEnhance.Contrast(brighter).enhance(rng.uniform(0.7, 1.3))


MIRRORED = "mirrored"
VARIANTS: dict[str, tuple[Callable[[Image.Image, random.Random], Image.Image], int]] = {  # and its JPEG quality
    "half the size": (resized(0.5), 90),
    "a quarter of the size": (resized(0.25), 90),
    "JPEG quality 75": (resized(1), 75),
    "JPEG quality 20": (resized(1), 20),
    "crop of 95 %": (cropped(0.95), 90),
    "crop of 90 %": (cropped(0.9), 90),
    "crop of 80 %": (cropped(0.8), 90),
    "brightness, contrast": (lit, 90),
    "border": (bordered, 90),
    "crop of 85 %, half, quality 50": (lambda image, rng: resized(0.5)(cropped(0.85)(image, rng), rng), 50),
    MIRRORED: (lambda image, rng: ImageOps.mirror(image), 90),
}
SAME_BYTES = "same bytes"


def draw(source: str, count: int, folder: Path) -> Path:
    """Write the variants of ``count`` pictures, and a CSV of them and of all pictures of the source: columns ``kind``
    and ``of``, the path of the original."""
    items = [item for item in open_source(source) if isinstance(item, Item)]
    rows = [(item.uri, item.labels.label, item.labels.domain, "", item.path) for item in items]
    rng = random.Random(0)
    for number, item in enumerate(rng.sample(items, min(count, len(items)))):
        data = item.read()
        image = images.decode(data).image
        made = {SAME_BYTES: data}
        for kind, (change, quality) in VARIANTS.items():
            stream = io.BytesIO()
            change(image, rng).save(stream, "JPEG", quality=quality)
            made[kind] = stream.getvalue()
        for place, (kind, content) in enumerate(made.items()):
            path = folder / f"{number:04d}-{place:02d}.jpg"
            path.write_bytes(content)
            rows.append((str(path), item.labels.label, item.labels.domain, kind, item.path))
    listed = folder / "all.csv"
    listed.write_text(to_csv(("path", "label", "domain", "kind", "of"), rows), encoding="utf-8")
    return listed


@dataclass(frozen=True)
class Drawn:
    """What the pictures of a gallery were drawn from, by id: ids int64 [N], ``kinds`` and ``originals`` object [N]."""

    ids: np.ndarray
    kinds: np.ndarray
    originals: np.ndarray

    @classmethod
    def of(cls, gallery: Gallery) -> Drawn:
        """As the columns of the CSV say."""
        records = gallery.records(gallery.snapshot().columns.ids)
        said = [dict(record.labels.extra) for record in records]
        kinds, originals = ([row.get(name, "") for row in said] for name in ("kind", "of"))
        return cls(np.array([record.id for record in records]), np.array(kinds, object), np.array(originals, object))

    def pairs(self, groups: np.ndarray) -> tuple[int, int, int]:
        """Pairs that are in one group; of these wrong ones with a mirrored picture of the same; other wrong ones."""
        mirrored = self.kinds == MIRRORED
        found = of_mirrored = wrong = 0
        order = np.argsort(groups, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
            a, b = members[np.array(np.triu_indices(len(members), 1))]
            one = self.originals[a] == self.originals[b]
            found += len(a)
            of_mirrored += int((one & (mirrored[a] != mirrored[b])).sum())
            wrong += int((~one).sum())
        return found, of_mirrored, wrong

    def recall(self, groups: np.ndarray) -> dict[str, float]:
        """Of every kind, the share that is in the group of its original."""
        home = {path: group for path, kind, group in zip(self.originals, self.kinds, groups) if not kind}
        at_home = np.array([home[path] == group for path, group in zip(self.originals, groups)])
        return {kind: float(at_home[self.kinds == kind].mean()) for kind in (SAME_BYTES, *VARIANTS)}


def errors(source: str, originals: int, folder: Path) -> None:
    """Index, group, and print recall of every kind and precision of every level."""
    (folder / "drawn").mkdir()
    gallery = Gallery.create(folder / "indexes" / "drawn", Embedder.load())
    finish(index(gallery, str(draw(source, originals, folder / "drawn"))))
    snapshot, _ = gallery.neighbours()
    started = time.perf_counter()
    found = finish(gallery.find_duplicates(snapshot))
    print(f"{len(snapshot):,} pictures, grouped in {time.perf_counter() - started:.1f} s once neighbours are there")
    drawn = Drawn.of(gallery)
    recalls = {level: drawn.recall(found.groups[level]) for level in LEVELS}
    print(f"{'recall of':34}" + "".join(f"{level:>9}" for level in LEVELS))
    for kind in (SAME_BYTES, *VARIANTS):
        print(f"{kind:34}" + "".join(f"{recalls[level][kind]:9.3f}" for level in LEVELS))
    for level in LEVELS:
        pairs, of_mirrored, wrong = drawn.pairs(found.groups[level])
        print(
            f"{level}: {pairs:,} pairs, precision at least {1 - (wrong + of_mirrored) / max(1, pairs):.3f}; wrong: "
            f"a picture and its mirror image {of_mirrored:,} times, of two pictures of the manifest {wrong:,}"
        )


def cost(source: str, count: int, folder: Path) -> str:
    """What groups cost in a gallery of ``count`` items once neighbours are there, at first, after one item was left out
    and when the gallery is opened again: pictures of the source again and again, each with other features and bytes."""
    gallery = Gallery.create(folder / "indexes" / f"{count}", Embedder.load())
    items = [item for item in open_source(source) if isinstance(item, Item)]
    chosen = random.Random(0).sample(items, min(SEEDS, len(items)))
    pictures = [thumbnails.thumbnail(images.decode(item.read()).image) for item in chosen]
    seeds = gallery.embedder.features([item.read() for item in chosen])
    rng = np.random.default_rng(0)
    with gallery.write() as writer:
        known = writer.begin_source("benchmark", keep=False)
        for start in range(0, count, AT_ONCE):
            rows = range(start, min(count, start + AT_ONCE))
            of = rng.integers(0, len(seeds), len(rows))
            noise = l2_normalize(rng.standard_normal((len(rows), seeds.shape[1])).astype(np.float32), seeds.shape[1])
            features = seeds[of] + NOISE * np.linalg.norm(seeds[of], axis=1, keepdims=True) * noise
            writer.commit(known, [
                Embedded(
                    Item(f"item:{row}", f"{row}.jpg", bytes), hashlib.sha256(str(row).encode()).hexdigest(),
                    features=feature, thumbnail=pictures[place],
                )
                for row, feature, place in zip(rows, features, of)
            ])  # fmt: skip
        writer.finish_source(known)
    gallery.neighbours()
    Path("/proc/self/clear_refs").write_text("5")  # the highest from now on
    before, first = kilobytes("VmRSS"), seconds(gallery)
    memory = (kilobytes("VmHWM") - before) / 1000
    with gallery.write() as writer:
        writer.correct([corrections.drop(gallery.item_at("0.jpg"))])
    gallery.neighbours()
    again, opened = seconds(gallery), Gallery.open(gallery.folder)
    opened.neighbours()
    return f"{first:.1f} s and {memory:.0f} MB; one left out {again:.1f} s; opened again {seconds(opened):.1f} s"


def kilobytes(what: str) -> int:
    """Of this process's memory, as Linux calls it: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def seconds(gallery: Gallery) -> float:
    """How long its groups take, of the cores' time together: that of a busy machine tells more than its clock."""
    started = time.process_time()
    finish(gallery.find_duplicates())
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="MANIFEST.csv")
    parser.add_argument("--originals", type=int, default=300, help="0: no errors of levels")
    parser.add_argument("--items", type=int, nargs="*", default=[10_000], help="sizes whose time and memory are taken")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.originals:
            errors(arguments.source, arguments.originals, Path(scratch))
        for count in arguments.items:
            print(f"{count:,} items: {cost(arguments.source, count, Path(scratch))}", flush=True)


if __name__ == "__main__":
    main()
