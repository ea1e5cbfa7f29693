"""The README of a folder that `datasets` loads: it says which files are which split."""

from __future__ import annotations

import json
import re

from unifex.data.splits import UNSPLIT
from unifex.exports.selection import Selection

WHOLE = "train"  # what `datasets` calls a data set without splits


def split_names(selection: Selection) -> dict[str, str]:
    """Split of items -> its name in `datasets`, of letters, digits and _; no two are the same."""
    names: dict[str, str] = {}
    for split in selection.splits or [""]:
        name = first = re.sub(r"\W", "_", split) or (UNSPLIT if selection.splits else WHOLE)
        while name in names.values():
            name = f"{first}_{len(names)}"
        names[split] = name
    return names


def card(selection: Selection, patterns: dict[str, str]) -> bytes:
    """The README. ``patterns``: which files, by the name of the split."""
    files = "".join(f"  - split: {split}\n    path: {json.dumps(path)}\n" for split, path in patterns.items())
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        f"# {selection.gallery.name}\n\n{len(selection):,} images, exported by UniFEx.\n\n"
        'Load it with `datasets.load_dataset("FOLDER")`.\n'
    ).encode()
