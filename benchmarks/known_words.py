"""Words of the bundled backbone: make ``assets/words/lite0.safetensors``, and find what has a label by its name.

    python -m benchmarks.known_words MANIFEST.csv MORE.csv --library FOLDER [--make | --model unifex-lite-4]

``--make`` learns from the ``train`` rows of both manifests that do not come from ``EXCLUDED`` sources. What is measured
are the first one's query and index rows: every label's plain name is searched for, and told is which share of the first
five hits has it (of fewer, where there are fewer), in context, as search ranks them, and by similarity alone. No label
among them was learned from. Besides, of everyday phrases, as "something to sit on": ``phrases.csv`` tells what is right
among the first five of m4d-mini, judged by hand. ``--model`` measures one whose late blocks are adapted. ``FOLDER``
keeps the features.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.table import Row, tell
from benchmarks.train_default_model import EXCLUDED
from tests.support.timm_lite import classifier
from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.neighbours import NeighboursAsked
from unifex.models.efficientnet_lite import LITE0
from unifex.models.embedder import RAW, Embedder
from unifex.models.known_words import PLACE, SentenceEncoder
from unifex.models.lite_weights import NETWORKS
from unifex.retrieval.reranking import of_words
from unifex.vector_index import index_types

TEMPERATURES = {"classes": 0.07, "labels": 0.1}
WEIGHT_OF_LABELS = 1.5
SHRINKAGE = 0.1  # of the covariance, towards a multiple of the identity
FIRST = 5  # hits
JUDGED = Path(__file__).with_name("phrases.csv")


class Rows:
    """A gallery's: features float32 [N, D] with L2 norm 1, embeddings, labels and splits."""

    def __init__(self, gallery: Gallery):
        snapshot = gallery.snapshot()
        self.features = gallery.derived.unit_features(snapshot)[:]
        self.embeddings = gallery.index_of(snapshot, gallery.config.dim).embeddings
        self.copies = snapshot.columns.copies
        self.labels = np.array(snapshot.columns.labels.texts, str)
        self.domains = np.array(snapshot.columns.domains.texts, str)
        self.learned = np.array(snapshot.columns.splits.texts, str) == "train"
        self.paths = np.array([record.path for record in gallery.records(snapshot.columns.ids)], str)
        self.allowed = np.array([not label.startswith(EXCLUDED) for label in self.labels])


@dataclass(frozen=True)
class Found:
    """Who is searched among, positions in ``rows``; ``near`` and ``usual`` texts, where these rank as search does."""

    rows: Rows
    items: np.ndarray
    near: NeighboursAsked | None = None
    usual: np.ndarray | None = None

    def in_context(self, embedder: Embedder) -> Found:
        """The same, ranked as search does."""
        index = index_types.build(np.ascontiguousarray(self.rows.embeddings[self.items]))
        near = NeighboursAsked(index, self.rows.copies[self.items])
        return replace(self, near=near, usual=embedder.usual_texts())

    def first(self, directions: np.ndarray) -> np.ndarray:
        """Of each text [m, D] the first hits [m, FIRST], positions in ``rows``."""
        features = self.rows.features[self.items]
        scores = directions @ features.T
        if self.near and self.usual is not None:
            scores = [of_words(each, features.__getitem__, self.near, self.usual) for each in scores]
        return self.items[np.argsort(-np.array(scores), axis=1, kind="stable")[:, :FIRST]]


def plain(label: str) -> str:
    """A label's name as one would say it: without its source, in words."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label.partition("/")[2] or label)
    return re.sub(r"[_\-\s]+", " ", name).strip().lower()


def make(rows: Rows, out: Path) -> None:
    """Write what is known."""
    from safetensors.numpy import save_file

    chosen = rows.learned & rows.allowed
    features, labels = rows.features[chosen], rows.labels[chosen]
    centre = features.mean(axis=0)
    centred = features - centre
    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    whitening = _whitening(centred, 1 / np.sqrt(counts[codes]))
    means = np.zeros((len(names), centred.shape[1]), np.float32)
    np.add.at(means, codes, centred @ whitening)
    encoder = SentenceEncoder()
    glosses, weights = _classes()
    tensors = {}
    for kind, texts, directions, weight in (
        ("classes", glosses, weights, 1.0),
        ("labels", list(map(plain, names)), l2_normalize(means, means.shape[1]) @ whitening.T, WEIGHT_OF_LABELS),
    ):
        away = directions - np.outer(directions @ centre, centre) / (centre @ centre)  # 0 is like any image
        away *= weight / (centred @ away.T).std(axis=0)[:, None]  # in units of what images differ by
        scales = np.abs(away).max(axis=1) / 127
        tensors[f"{kind}.texts"] = encoder.embed(texts).astype(np.float16)
        tensors[f"{kind}.directions"] = np.round(away / scales[:, None]).astype(np.int8)
        tensors[f"{kind}.scales"] = scales.astype(np.float32)
    save_file(tensors, out, {kind: str(heat) for kind, heat in TEMPERATURES.items()})


def _whitening(centred: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float32 [D, D] of centred features [N, D], which count by ``weights`` [N]."""
    covariance = (centred * weights[:, None]).T @ centred / weights.sum()
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0)
    return vectors / np.sqrt(values + SHRINKAGE * values.mean())


def _classes() -> tuple[list[str], np.ndarray]:
    """What the ImageNet classes are called, with their glosses, and what is like each among the features [1000, D]."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    glosses = [info.index_to_description(number, detailed=True) for number in range(info.num_classes())]
    weights = classifier(NETWORKS["lite0"]).classifier.weight.detach().numpy()
    directions = np.zeros((len(weights), LITE0.feature_dim), np.float32)
    directions[:, : weights.shape[1]] = weights - weights.mean(axis=0)
    return glosses, directions


def measure(found: Found, embedder: Embedder) -> dict[str, list[float]]:
    """Of each domain, the labels' shares of right ones among the first hits."""
    labels = found.rows.labels[found.items]
    domains = dict(zip(labels, found.rows.domains[found.items], strict=True))
    shares = defaultdict(list)
    for label, first in zip(domains, found.first(embedder.embed_text(list(map(plain, domains)))), strict=True):
        right = np.sum(found.rows.labels[first] == label)
        shares[domains[label]].append(right / min(FIRST, np.sum(labels == label)))
    return shares


def phrases(found: Found, embedder: Embedder) -> tuple[float, int]:
    """The share of right ones among the first hits of everyday phrases, and how many of the hits nobody has judged."""
    with JUDGED.open(encoding="utf-8", newline="") as file:
        judged = {(row["phrase"], row["path"]): row["right"] == "1" for row in csv.DictReader(file)}
    texts = list(dict.fromkeys(phrase for phrase, _ in judged))
    right, unjudged = 0, 0
    for text, first in zip(texts, found.first(embedder.embed_text(texts)), strict=True):
        for path in found.rows.paths[first]:
            right += judged.get((text, str(path)), False)
            unjudged += (text, str(path)) not in judged
    return right / (FIRST * len(texts)), unjudged


def main() -> None:
    """Make, when asked to, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("more", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--model", default=RAW + LITE0.id)
    arguments = parser.parse_args()
    embedder = Embedder.load(arguments.model)
    gallery = Gallery.open_or_create(arguments.library / embedder.name, embedder)
    for manifest in (arguments.manifest, arguments.more):
        finish(index(gallery, str(manifest)))
    rows = Rows(gallery)
    if arguments.make:
        make(rows, PLACE / f"{LITE0.id}.safetensors")
    plainly = Found(rows, np.flatnonzero(~rows.learned))
    for how, found in ((", by similarity alone", plainly), (", in context", plainly.in_context(embedder))):
        shares = measure(found, embedder)
        for domain, values in sorted(shares.items(), key=lambda pair: -np.mean(pair[1])):
            print(f"{domain:20} {len(values):4} labels, of the first {FIRST} hits right{how}: {np.mean(values):.2f}")
        everything = float(np.mean(np.concatenate(list(shares.values()))))
        share, unjudged = phrases(found, embedder)
        print(f"everyday phrases{how}, of the first {FIRST} hits right: {share:.3f}; {unjudged} were never judged")
        what = f"label names as words: right of the first 5{how}"
        tell(Row(what, f"{everything:.3f}", "bar of 0.30", everything, 0.30))


if __name__ == "__main__":
    main()
