"""The classes that a model was trained on, known again in any gallery by a few of their images.

A model keeps the beginnings of these images' hashes, and neither names nor paths: galleries are renamed, packed and
made anew, and two may call different things alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

CLASSES = "classes"  # what the marks are called in what a model says of its training
OF_A_CLASS = 3  # images that are kept
BEGINNING = 8  # digits of an image's hash that are kept: one alone could be another's, those of most of a class cannot
_SHORT = f"S{BEGINNING}"


def marks_of(hashes: np.ndarray, classes: np.ndarray) -> list[str]:
    """What a model keeps of the images that it was trained on, a text a class: ``hashes`` bytes S64 [N] of different
    images of a class, ``classes`` int64 [N]."""
    beginnings = _beginnings_of(hashes)
    order = np.lexsort((beginnings, classes))
    groups = np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
    return [b"".join(beginnings[own[:OF_A_CLASS]].tolist()).decode("ascii") for own in groups]


def marks_in(training: Mapping[str, Any]) -> list[str]:
    """Those that a model keeps; none where it says nothing of the kind, as models of earlier versions."""
    marks = training.get(CLASSES)
    return [mark for mark in marks if isinstance(mark, str)] if isinstance(marks, list) else []


def classes_of(marks: Iterable[str], hashes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Which of ``classes`` int64 [N] (-1 for none) of the images with these ``hashes`` S64 [N] the marks are of,
    sorted: the one that has most of a mark's images."""
    kept = [[mark[start : start + BEGINNING] for start in range(0, len(mark), BEGINNING)] for mark in marks]
    sought = np.array([one.encode("ascii", "replace") for own in kept for one in own], _SHORT)
    labelled = np.flatnonzero(classes >= 0)
    shown = _beginnings_of(hashes)[labelled]
    there = np.isin(shown, sought)
    of = defaultdict[str, set[int]](set)
    for beginning, own in zip(np.char.decode(shown[there], "ascii").tolist(), classes[labelled[there]].tolist()):
        of[beginning].add(own)
    found = [_class_of_most([of[one] for one in own]) for own in kept]
    return np.unique(np.array([own for own in found if own is not None], np.int64))


def _beginnings_of(hashes: np.ndarray) -> np.ndarray:
    return hashes.astype(_SHORT)


def _class_of_most(images: list[set[int]]) -> int | None:
    """Of images with the classes that each is of: the one that more than half of them are of."""
    for own, count in Counter(own for classes in images for own in classes).most_common(1):
        return own if 2 * count > len(images) else None
    return None
