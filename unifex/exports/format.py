"""What a format is: a line of the table :data:`unifex.exports.formats.FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unifex.core.progress import Work
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Target


@dataclass(frozen=True)
class Format:
    """``name``: what the command line calls it; ``title``: what a menu calls it; ``sentence``: what it is for.

    ``write`` puts a selection into a target and tells its tally. ``suffix``: how the name of the one file ends that it
    is (``.csv``); empty for a folder. ``images``: image files are in it, of the kind that the selection says.
    ``offered``: the page offers it for chosen items; ``guarded``: to those alone who may have image files as they are,
    since thumbnails are no stand-in in it, or embeddings are in it.
    """

    name: str
    title: str
    sentence: str
    write: Callable[[Selection, Target, Tally], Work[None]]
    suffix: str = ""
    images: bool = False
    guarded: bool = False
    offered: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is several files."""
        return not self.suffix
