"""The image files themselves, in the folders that they lie in."""

from __future__ import annotations

from unifex.core.language import to_say
from unifex.core.progress import Work
from unifex.exports.format import Format
from unifex.exports.names import Names, in_its_folders
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Target


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """The images by their paths, made safe and unique."""
    names = Names()
    for record, picture in selection.with_pictures(tally):
        target.add(names.free(in_its_folders(record), picture.suffix), picture.data)
        yield tally.step()


FORMAT = Format(
    "files",
    to_say("Image files"),
    to_say("the image files in the folders that they lie in"),
    write,
    images=True,
    guarded=True,
    offered=True,
)
