"""Labels that say what a text says: whose words are all among a label's, whatever the case, plural or separators."""

from __future__ import annotations

import re

import numpy as np

from unifex.gallery.snapshot import CategoricalColumn

_PARTS = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])")  # camelCase
_ARTICLES = frozenset(("a", "an", "the"))


def words_of(text: str) -> frozenset[str]:
    """Its words without articles, in lower case, each as :func:`_singular` has it."""
    parts = _PARTS.findall(_HUMP.sub(" ", text).casefold())
    return frozenset(_singular(part) for part in parts if part not in _ARTICLES)


def _singular(word: str) -> str:
    """The same of a word and its plural, be it a word or not: ``dish`` of dishes, ``hou`` of house and houses."""
    while len(word) > 3 and (shorter := _shorter(word)) != word:
        word = shorter
    return word


def _shorter(word: str) -> str:
    if (word.endswith("s") and not word.endswith("ss")) or word.endswith(("se", "xe", "ze", "che", "she", "oe")):
        return word[:-1]
    return f"{word[:-2]}y" if word.endswith("ie") else word


def named(labels: CategoricalColumn, text: str) -> np.ndarray:
    """Which items' labels hold every word of ``text``: bool [N]; none where it has no words."""
    wanted = words_of(text)
    holds = np.array([bool(wanted) and _holds(label, wanted) for label in labels.names], bool)
    return holds[labels.codes]


def _holds(label: str, wanted: frozenset[str]) -> bool:
    folded = label.casefold()  # words, but for their ends, stand in it: of a million labels few are taken apart
    return all(word[:-1] in folded for word in wanted) and wanted <= words_of(label)
