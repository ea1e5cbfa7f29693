"""FiftyOneDataset: ``data/``, ``samples.json`` and ``metadata.json``, as FiftyOne's own importer reads them.

It is the form that needs no database to be written: without a ``version`` in ``metadata.json`` the importer makes every
sample from its dictionary, and the fields of the data set from those of the samples.
"""

from __future__ import annotations

import json
import mimetypes
import re
import tempfile
from itertools import count

from unifex.core.language import to_say
from unifex.core.progress import Work
from unifex.exports.format import Format
from unifex.exports.names import Names, in_its_folders
from unifex.exports.selection import COLUMNS, Picture, Selection, Tally
from unifex.exports.targets import IN_MEMORY, Target, copy_into
from unifex.gallery.records import Record

LABEL = "ground_truth"  # the field that its importers call so, too


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """Images by path, and a sample for each: label, split and tags as tags, further columns as fields."""
    names, further = Names(), _fields(selection)
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as samples:
        renamed = {field: column for column, field in further.items() if field != column}
        named = f'"columns": {json.dumps(renamed, ensure_ascii=False)}, ' if renamed else ""  # for who reads it back
        samples.write(b'{%s"samples": [' % named.encode())
        for record, picture in selection.with_pictures(tally):
            name = f"data/{names.free(in_its_folders(record), picture.suffix)}"
            target.add(name, picture.data)
            sample = json.dumps(_sample(selection, record, further, name, picture), ensure_ascii=False)
            samples.write((b",\n" if tally.items > 1 else b"\n") + sample.encode())
            yield tally.step()
        samples.write(b"\n]}\n")
        copy_into(target, "samples.json", samples)
    classes = sorted(set(selection.class_names.values()))
    metadata = {
        "name": selection.gallery.name,
        "media_type": "image",
        "info": {"exported_by": "UniFEx", "classes": {LABEL: classes}},
    }
    target.add("metadata.json", json.dumps(metadata, ensure_ascii=False, indent=2).encode())


def _sample(
    selection: Selection, record: Record, further: dict[str, str], name: str, picture: Picture
) -> dict[str, object]:
    label = selection.class_names.get((record.domain, record.label))
    row = selection.row(record, further)
    return {
        **{name: text for name, text in row.items() if name not in COLUMNS},
        "filepath": name,
        "tags": [*filter(None, [record.split]), *record.tags],
        "metadata": {
            "_cls": "ImageMetadata", "size_bytes": len(picture.data), "width": picture.width,
            "height": picture.height, "mime_type": mimetypes.guess_type(name)[0],
        },
        LABEL: {"_cls": "Classification", "label": label, "tags": []} if label else None,
        "label": record.label,
        "domain": record.domain,
        "split": record.split,
        "item_path": record.path,
    }  # fmt: skip


def _fields(selection: Selection) -> dict[str, str]:
    """Further columns, and what each is called as a field: letters, digits and _; no two alike, and what can be called
    as it is, is."""
    fields: dict[str, str] = {}
    taken = {*selection.own_columns, *_OWN}
    for column in sorted(selection.further_columns(), key=lambda column: _field(column) != column):
        name = _field(column)
        name = f"extra_{name}" if name in taken or name[0].isdecimal() else name
        numbered = (f"{name}_{number}" for number in count(2))
        fields[column] = name if name not in taken else next(free for free in numbered if free not in taken)
        taken.add(fields[column])
    return fields


def _field(column: str) -> str:
    return re.sub(r"\W", "_", column).strip("_") or "column"


_OWN = frozenset(
    "id media_type media_reference filepath tags metadata label domain split item_path created_at last_modified_at "
    f"{LABEL}".split()
)

FORMAT = Format(
    "fiftyone",
    "FiftyOne",
    to_say("a FiftyOneDataset: images and samples with labels and tags, to be looked at in FiftyOne"),
    write,
    images=True,
)
