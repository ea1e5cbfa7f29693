"""COCO: images, and ``annotations/instances_SPLIT.json``, in which a label is of the whole picture.

COCO has no labels of images, so that each is a box (and polygon) around all of it, which every reader takes.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass
from typing import IO, Any

from unifex.core.language import to_say
from unifex.core.progress import Work
from unifex.data.label_files import OWN, is_of_coco
from unifex.exports.format import Format
from unifex.exports.hub_card import split_names
from unifex.exports.names import Names, in_its_folders
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import IN_MEMORY, Target

_CHUNK = 2**20


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """``images/`` by path, and a file of annotations a split; all of them know the same categories."""
    names, splits, further = Names(), split_names(selection), selection.further_columns(is_of_coco)
    ids = {pair: number for number, pair in enumerate(selection.classes, start=1)}
    with contextlib.ExitStack() as files:
        spool = lambda: _List(files.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY)))  # noqa: E731
        images, boxes = {split: spool() for split in splits}, {split: spool() for split in splits}
        for record, picture in selection.with_pictures(tally):
            name = names.free(in_its_folders(record), picture.suffix)
            target.add(f"images/{name}", picture.data)
            sides = picture.width, picture.height
            images[record.split].add(_image(selection.row(record, further), tally.items, name, *sides))
            if category := ids.get((record.domain, record.label)):
                boxes[record.split].add(_whole_picture(tally.items, category, *sides))
            yield tally.step()
        for split, name in splits.items():
            with target.open(f"annotations/instances_{name}.json") as file:
                _write(file, _head(selection, ids), images[split], boxes[split])


@dataclass
class _List:
    """A JSON list on its way."""

    file: IO[bytes]
    begun: bool = False

    def add(self, value: Any) -> None:
        self.file.write((b",\n" if self.begun else b"") + json.dumps(value, ensure_ascii=False).encode())
        self.begun = True

    def put_into(self, file: IO[bytes]) -> None:
        self.file.seek(0)
        file.write(b"[\n")
        while piece := self.file.read(_CHUNK):
            file.write(piece)
        file.write(b"\n]")


def _head(selection: Selection, ids: dict[tuple[str, str], int]) -> dict[str, Any]:
    categories = [
        {"id": number, "name": selection.class_names[pair], "supercategory": pair[0]} for pair, number in ids.items()
    ]
    return {"info": {"description": f"{selection.gallery.name}, {OWN}"}, "licenses": [],
            "categories": categories}  # fmt: skip


def _image(row: dict[str, Any], id: int, name: str, width: int, height: int) -> dict[str, Any]:
    """With what else is known of it under names of its own, which COCO's readers pass over."""
    return {**row, "id": id, "file_name": name, "width": width, "height": height}


def _whole_picture(id: int, category: int, width: int, height: int) -> dict[str, Any]:
    """The annotation of an image: it is all of it."""
    outline = [0, 0, width, 0, width, height, 0, height]
    return {"id": id, "image_id": id, "category_id": category, "bbox": [0, 0, width, height], "area": width * height,
            "iscrowd": 0, "segmentation": [outline]}  # fmt: skip


def _write(file: IO[bytes], head: dict[str, Any], images: _List, boxes: _List) -> None:
    file.write(json.dumps(head, ensure_ascii=False).encode()[:-1] + b', "images": ')
    images.put_into(file)
    file.write(b', "annotations": ')
    boxes.put_into(file)
    file.write(b"}\n")


FORMAT = Format(
    "coco",
    "COCO",
    to_say("images and annotations of whole pictures, for COCO's readers and tools of annotation"),
    write,
    images=True,
    offered=True,
)
