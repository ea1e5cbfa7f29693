"""Labels that say what a text says: whose words are all among a label's, whatever the case, plural or separators."""

from __future__ import annotations

import re

import numpy as np

from unifex.gallery.snapshot import CategoricalColumn

_PARTS = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])")  # camelCase
_ARTICLES = frozenset(("a", "an", "the"))


def words_of(text: str) -> list[frozenset[str]]:
    """Its words without articles, in lower case, each as :func:`_singulars` has it."""
    parts = _PARTS.findall(_HUMP.sub(" ", text).casefold())
    return [_singulars(part) for part in parts if part not in _ARTICLES]


def _singulars(word: str) -> frozenset[str]:
    """The word, and what it may be the plural of, be that a word or not: ``dishes``, ``dishe`` and ``dish``."""
    found = {word}
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        found.add(word[:-1])
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        found.add(word[:-2])
    if word.endswith("ies"):
        found.add(f"{word[:-3]}y")
    return frozenset(found)


def named(labels: CategoricalColumn, text: str) -> np.ndarray:
    """Which items' labels hold every word of ``text``: bool [N]; none where it has no words."""
    wanted = words_of(text)
    holds = np.array([bool(wanted) and _holds(label, wanted) for label in labels.names], bool)
    return holds[labels.codes]


def _holds(label: str, wanted: list[frozenset[str]]) -> bool:
    folded = label.casefold()  # words, but for their ends, stand in it: of a million labels few are taken apart
    if not all(any(word[:-1] in folded for word in one) for one in wanted):
        return False
    words = words_of(label)
    return all(any(one & word for word in words) for one in wanted)
