"""The command ``duplicates``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from unifex.cli.options import OF_GALLERY, PAGE, TABLE, Parser
from unifex.cli.shared import PAGE_MARKS, check_out, chosen_embedder, library, say, write
from unifex.core.console import watched
from unifex.core.text import plural

if TYPE_CHECKING:
    from unifex.gallery.copy_groups import CopyGroup
    from unifex.gallery.gallery import Gallery


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    duplicates = command(
        "duplicates", _duplicates, "list the near-copies in a gallery, and keep one of each group", model=OF_GALLERY
    )
    duplicates.share("--gallery", "--level")
    duplicates.add_argument("--csv", type=TABLE, metavar="FILE", help="write the groups, a line an item")
    duplicates.add_argument("--out", type=PAGE, metavar="FILE.html", help="the groups as one page to mail")
    duplicates.add_argument(
        "--keep-one",
        action="store_true",
        help="leave out all but the largest of each group, at once (`correct --undo PATH` takes that back)",
    )


def _duplicates(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery.copy_groups import as_csv, copy_groups, leave_out
    from unifex.gallery.duplicates import LEVELS

    gallery = library(options).get(options.gallery, chosen_embedder(options))
    check_out(options, options.csv, [b"group,"])
    check_out(options, options.out, PAGE_MARKS)
    groups = watched(copy_groups(gallery, options.level))
    if options.csv:
        write(options.csv, as_csv(groups))
    if options.out:
        _write_page(options, gallery, groups)
    left_out = leave_out(gallery, groups) if options.keep_one else []
    for group in groups:
        kept = group.kept
        say(options, f"{kept.path}  {kept.width} x {kept.height}  {kept.label}")
        for copy in group.others:
            size = f"{copy.record.width} x {copy.record.height}"
            say(options, f"      {copy.similarity:.3f}  {copy.record.path}  {size}  {LEVELS[copy.level].split(':')[0]}")
    copies = sum(len(group.others) for group in groups)
    found = f"{plural(len(groups), 'group')} with {plural(copies, 'copy')} in gallery '{gallery.name}'"
    say(options, f"{found} ({LEVELS[options.level]})")
    if options.keep_one:
        say(options, f"{plural(len(left_out), 'item')} left out: one of each group is kept")
    return {
        "gallery": gallery.name,
        "level": options.level,
        "groups": [group.as_json() for group in groups],
        "left_out": [correction.path for correction in left_out],
    }


def _write_page(options: argparse.Namespace, gallery: Gallery, groups: list[CopyGroup]) -> None:
    from unifex.exports.static_page import copies_section, write_page
    from unifex.gallery.duplicates import LEVELS

    sections = [copies_section(gallery, number, group) for number, group in enumerate(groups, start=1)]
    note = f"{plural(len(groups), 'group')} of near-copies ({LEVELS[options.level]})"
    watched(write_page(options.out, gallery.name, note, sections))
    say(options, f"the groups are in {options.out}")
