"""What splits are called: in tables, and as folders."""

from __future__ import annotations

from unifex.core.language import say

SPLITS = {
    "": "",
    "train": "train training",
    "query": "query queries test testing val valid validation dev eval evaluation probe",
    "index": "index gallery database db reference",
}
UNSPLIT = "unsplit"  # the folder of items of no split, where others are in one
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names.split() or [""]}


def split_called(written: str) -> str | None:
    """The split that is called so, in whatever letters; None where none is."""
    return _SPLIT_OF.get(written.casefold())


def is_split(written: str) -> bool:
    """Whether it is what a split may be called."""
    return bool(split_called(written))


def is_folder_of_split(name: str) -> bool:
    """Whether it is what the folder of a split may be called, or that of the rest."""
    return is_split(name) or name == UNSPLIT


def taken_as(written: str, split: str) -> tuple[str, ...]:
    """What is to be told of a split that was called otherwise."""
    return () if written == split else (say("split '{written}' was taken as {split}", written=written, split=split),)
