"""Words and an image together: how their two similarities are best made one. A stand-in, since words take weights.

    python -m benchmarks.words_and_image MANIFEST.csv

No weights of a text tower are bundled, so nothing here reads words. What stands for them is a direction in the bundled
backbone's features: every picture is also drawn in four manners (night, sketch, sepia, veiled), and a manner's "words"
are the mean of 200 of the manifest's train rows drawn so, less the mean of all, with noise of so many times its length
(words tell less than pictures do). A query is a picture of the query rows and a manner; right is the same label among
the index rows, drawn in that manner, and neither the label in another manner nor another label in this one. That is the
task of i-CIR (Psomas et al., 2025), whose figures are of real words: 17.5 mAP for a product, 8.2 for a sum. What is
printed tells one way of joining the two from another, and nothing of how well any model knows words.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from benchmarks.feedback import average_precision
from unifex.core.vectors import l2_normalize
from unifex.models.embedder import Embedder
from unifex.retrieval.text_search import both

TOLD_BY = 200  # train rows that a manner's words are made from
NOISES = (0.0, 1.0, 2.0)  # times the length of the direction
WEIGHTS = (0.2, 0.35, 0.5, 0.65, 0.8)  # of the words
Joined = Callable[[np.ndarray, float], np.ndarray]  # similarities [2, N] to words and image, and the words' weight: [N]


def _night(image: Image.Image) -> Image.Image:
    dark = np.asarray(image).astype(np.float32) * (0.25, 0.3, 0.5)
    return Image.fromarray(dark.astype(np.uint8))


def _sketch(image: Image.Image) -> Image.Image:
    return ImageOps.invert(image.convert("L").filter(ImageFilter.FIND_EDGES)).convert("RGB")


def _sepia(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(image.convert("L"), (40, 20, 10), (245, 225, 190))


def _veiled(image: Image.Image) -> Image.Image:
    veil = Image.new("RGB", image.size, (225, 228, 232))
    return Image.blend(ImageEnhance.Color(image.filter(ImageFilter.GaussianBlur(2))).enhance(0.6), veil, 0.55)


MANNERS = {"as it is": lambda image: image, "night": _night, "sketch": _sketch, "sepia": _sepia, "veiled": _veiled}


def sum_of_standardised(cosines: np.ndarray, weight: float) -> np.ndarray:
    """In units of their spread, added."""
    spreads = cosines.std(axis=1, keepdims=True)
    return np.array([weight, 1 - weight]) @ ((cosines - cosines.mean(axis=1, keepdims=True)) / spreads)


def product_of_cosines(cosines: np.ndarray, weight: float) -> np.ndarray:
    """As they are, what is negative as nothing."""
    return np.exp(np.array([weight, 1 - weight]) @ np.log(np.maximum(cosines, 1e-9)))


def product_of_ranks(cosines: np.ndarray, weight: float) -> np.ndarray:
    """Of the places in the two rankings."""
    places = np.argsort(np.argsort(-cosines, axis=1), axis=1) + 1.0
    return -(np.array([weight, 1 - weight]) @ np.log(places))


WAYS: dict[str, Joined] = {
    "image alone": lambda cosines, weight: cosines[1],
    "words alone": lambda cosines, weight: cosines[0],
    "sum, standardised": sum_of_standardised,
    "product of the cosines": product_of_cosines,
    "product of ranks": product_of_ranks,
    "product above the mean (the program's)": lambda cosines, weight: both(cosines, (weight, 1 - weight)),
}


@dataclass(frozen=True)
class Trial:
    """Features of queries [Q, D] and items [N, D], their labels, the items' manners, and words [manners, D] of each."""

    queries: np.ndarray
    items: np.ndarray
    query_labels: np.ndarray
    item_labels: np.ndarray
    item_manners: np.ndarray
    words: np.ndarray


def main() -> None:
    """Draw, embed, and print mAP of every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--queries", type=int, default=453, help="of the query rows, so many at most")
    options = parser.parse_args()
    trial = drawn(options.manifest, options.queries)
    print(f"{len(trial.queries)} queries in {len(MANNERS) - 1} manners each, {len(trial.items):,} items; mAP by the")
    print(f"words' weight: {', '.join(map(str, WEIGHTS))}")
    rng = np.random.default_rng(0)
    for noise in NOISES:
        moved = rng.standard_normal(trial.words.shape) * noise / np.sqrt(trial.words.shape[1])
        words = l2_normalize((trial.words + moved).astype(np.float32), trial.words.shape[1])
        print(f"words with noise {noise:g} times their length")
        for name, way in WAYS.items():
            figures = [measured(trial, words, way, weight) for weight in (WEIGHTS if "alone" not in name else (0.5,))]
            print(f"  {name:40s} {'  '.join(f'{figure:.3f}' for figure in figures)}", flush=True)


def drawn(manifest: Path, most: int) -> Trial:
    """The manifest's pictures in every manner, embedded."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    by_split = {split: [row for row in rows if row["split"] == split] for split in ("train", "query", "index")}
    told_by = by_split["train"][:: max(1, len(by_split["train"]) // TOLD_BY)][:TOLD_BY]
    queries = by_split["query"][:: -(-len(by_split["query"]) // most)]
    features = lambda of, manner: _features(manifest.parent, of, MANNERS[manner])  # noqa: E731
    means = np.stack([features(told_by, manner).mean(axis=0) for manner in MANNERS])
    index = by_split["index"]
    labels = lambda of: np.array([f"{row['domain']}/{row['label']}" for row in of])  # noqa: E731
    return Trial(
        features(queries, "as it is"),
        np.concatenate([features(index, manner) for manner in MANNERS]),
        labels(queries),
        np.tile(labels(index), len(MANNERS)),
        np.repeat(np.arange(len(MANNERS)), len(index)),
        l2_normalize((means - means.mean(axis=0)).astype(np.float32), means.shape[1]),
    )


def _features(root: Path, rows: list[dict[str, str]], manner: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """float32 [n, D], L2 norm 1."""
    embedder = Embedder.load()
    parts = []
    for start in range(0, len(rows), 64):
        files = []
        for row in rows[start : start + 64]:
            with Image.open(root / row["path"]) as image, io.BytesIO() as file:
                manner(image.convert("RGB")).save(file, "PNG", compress_level=1)
                files.append(file.getvalue())
        parts.append(embedder.features(files).astype(np.float32))
    features = np.concatenate(parts)
    return l2_normalize(features, features.shape[1])


def measured(trial: Trial, words: np.ndarray, way: Joined, weight: float) -> float:
    """Mean average precision over queries and manners, without the pictures as they are."""
    shown = trial.queries @ trial.items.T
    figures = []
    for manner in range(1, len(MANNERS)):
        said, so = trial.items @ words[manner], trial.item_manners == manner
        for cosines, label in zip(shown, trial.query_labels):
            scores = way(np.stack([said, cosines]), weight)
            figures.append(average_precision((so & (trial.item_labels == label))[np.argsort(-scores, kind="stable")]))
    return float(np.nanmean(figures))


if __name__ == "__main__":
    main()
