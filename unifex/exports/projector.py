"""TensorBoard's embedding projector: ``tensors.tsv``, ``metadata.tsv``, ``sprite.png``, ``projector_config.pbtxt``.

``tensorboard --logdir FOLDER`` shows it, and projector.tensorflow.org takes the first two. The sprite is a square of
square thumbnails, 8192 pixels wide at most, which is what its textures hold.
"""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
from PIL import Image

from unifex.core.language import say, to_say
from unifex.core.progress import Work
from unifex.exports.format import Format
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Target
from unifex.gallery.tags import SEPARATOR

WIDEST = 8192  # pixels of a sprite
LARGEST, SMALLEST = 64, 8  # pixels of a thumbnail in it
SHOWN = 100_000  # rows that the projector asks for


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """Embeddings and what is known of each, a line an item, then their thumbnails."""
    sprite, further = _Sprite(len(selection)), selection.further_columns()
    with target.open("tensors.tsv") as tensors, target.open("metadata.tsv") as metadata:
        metadata.write(_line(_label_first({name: name for name in (*selection.own_columns, *further.values())})))
        for records in selection.batches():
            yield tally.step()
            rows = selection.embeddings[selection.positions[tally.items : tally.items + len(records)]]
            tensors.write(
                "".join("\t".join([f"{value:.6g}" for value in row]) + "\n" for row in rows.tolist()).encode()
            )
            metadata.write(b"".join(_line(_cells(selection.row(record, further))) for record in records))
            for number, record in enumerate(records, start=tally.items):
                picture = selection.thumbnail(record) if sprite.side else None
                if picture:
                    sprite.put(number, picture.data)
            tally.items += len(records)
    if sprite.side:
        with target.open("sprite.png") as file:
            sprite.image.save(file, "PNG", compress_level=1)
    else:
        tally.notes.append(say("without thumbnails: so many do not fit into one picture"))
    if len(selection) > SHOWN:
        tally.notes.append(say("the projector shows the first {count:,} items", count=SHOWN))
    target.add("projector_config.pbtxt", _config(selection.gallery.name, sprite.side))


def _label_first(row: dict[str, str]) -> list[str]:
    """The projector writes the first column beside a point."""
    return [row["label"], *(cell for name, cell in row.items() if name != "label")]


def _cells(row: dict[str, Any]) -> list[str]:
    return _label_first({**row, "tags": SEPARATOR.join(row["tags"])})


def _line(cells: list[str]) -> bytes:
    """Of a table whose cells cannot hold tabs and line breaks."""
    return ("\t".join(" ".join(cell.split()) for cell in cells) + "\n").encode()


def _config(name: str, side: int) -> bytes:
    dims = f"single_image_dim: {side} single_image_dim: {side}"
    sprite = f'  sprite {{ image_path: "sprite.png" {dims} }}\n' if side else ""
    text = f"embeddings {{\n  tensor_name: {json.dumps(name, ensure_ascii=False)}\n"
    return f'{text}  tensor_path: "tensors.tsv"\n  metadata_path: "metadata.tsv"\n{sprite}}}\n'.encode()


class _Sprite:
    """Thumbnails row by row in one square picture; ``side`` of each in pixels, 0 where so many have no room."""

    def __init__(self, count: int):
        self.columns = math.ceil(math.sqrt(count))
        side = min(LARGEST, WIDEST // self.columns)
        self.side = side if side >= SMALLEST else 0
        self.image = Image.new("RGB", (self.columns * self.side, self.columns * self.side), "white")

    def put(self, number: int, data: bytes) -> None:
        """The thumbnail of the item of this number, in the middle of its square."""
        with Image.open(io.BytesIO(data)) as picture:
            small = picture.convert("RGB")
        small.thumbnail((self.side, self.side))
        row, column = divmod(number, self.columns)
        corner = np.array([column, row]) * self.side + (np.array([self.side] * 2) - small.size) // 2
        self.image.paste(small, (int(corner[0]), int(corner[1])))


FORMAT = Format(
    "projector",
    to_say("TensorBoard projector"),
    to_say("embeddings, labels and thumbnails for TensorBoard's embedding projector"),
    write,
)
