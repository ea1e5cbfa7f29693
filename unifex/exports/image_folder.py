"""ImageFolder: a folder a label, as torchvision reads it, with ``metadata.jsonl``, as ``datasets`` does.

Where items have splits, each has a folder of its own, with labels and a ``metadata.jsonl`` in it.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from typing import Any

from unifex.core.language import say, to_say
from unifex.core.progress import Work
from unifex.core.text import plural
from unifex.data.label_files import is_of_line
from unifex.exports.format import Format
from unifex.exports.hub_card import card, split_names
from unifex.exports.names import METADATA, README, LabelFolders, Names, in_its_folders
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import IN_MEMORY, Target, copy_into
from unifex.gallery.tags import SEPARATOR


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """Images by split and label, and a line of metadata for each."""
    names, splits, further = Names(), split_names(selection), selection.further_columns(is_of_line)
    without = ((domain, "") for domain in selection.domains)
    labels = LabelFolders((*selection.classes, *without), len(selection.domains) > 1)
    unread = 0
    folders = {split: f"{name}/" if selection.splits else "" for split, name in splits.items()}
    with contextlib.ExitStack() as files:
        lines = {split: files.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY)) for split in splits}
        for record, picture in selection.with_pictures(tally):
            folder = folders[record.split]
            *_, own = in_its_folders(record)
            name = names.free((folder.strip("/"), labels.of(record.domain, record.label), own), picture.suffix)
            target.add(name, picture.data)
            unread += picture.suffix.lower() not in OF_TORCHVISION
            lines[record.split].write(_line(name.removeprefix(folder), selection.row(record, further)))
            yield tally.step()
        for split, file in lines.items():
            copy_into(target, folders[split] + METADATA, file)
    target.add(README, card(selection, {splits[split]: f"{folder}**" for split, folder in folders.items()}))
    if unread:
        tally.notes.append(
            say(
                "torchvision does not read {images}, whose kind of file it does not know; "
                "with --images thumbnails it reads all",
                images=plural(unread, "image", "images"),
            )
        )


def _line(name: str, row: dict[str, Any]) -> bytes:
    """Of metadata. ``datasets`` guesses a column's type from a split's own rows and refuses splits that differ: so tags
    are one text, which an empty list would not be, and a text that it would take for a time ends with a space."""
    texts = {**row, "tags": SEPARATOR.join(row["tags"])}
    texts = {column: f"{text} " if _TIME.match(text) else text for column, text in texts.items()}
    return json.dumps({"file_name": name, **texts}, ensure_ascii=False).encode() + b"\n"


OF_TORCHVISION = frozenset(".jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp".split())  # what its ImageFolder reads
_TIME = re.compile(r"\d{4}-\d\d-\d\d")

FORMAT = Format(
    "imagefolder",
    to_say("A folder per label (ImageFolder)"),
    to_say("a folder a label with metadata.jsonl, for ImageFolder of torchvision and the datasets library"),
    write,
    images=True,
    offered=True,
)
