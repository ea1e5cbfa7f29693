"""The options that say which items of a gallery are meant: those that searches and exports share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from unifex.cli.options import Parser

if TYPE_CHECKING:
    from unifex.retrieval.filters import Filters


def add_filters(parser: Parser) -> None:
    """Domain, split, label, folder, tag and further columns."""
    parser.share("--domain")
    parser.add_argument("--split", action="append", default=[], help="only this split (may be repeated)")
    parser.add_argument("--label", action="append", default=[], help="only this label (may be repeated)")
    parser.add_argument(
        "--folder", action="append", default=[], help="only what lies in this folder or below (may be repeated)"
    )
    parser.add_argument(
        "--tag", action="append", default=[], help="only what has this tag (may be repeated: any of them)"
    )
    parser.add_argument(
        "--where", action="append", default=[], metavar="CONDITION",
        help="only where a further column is so: 'artist=Monet', 'year>=1900', 'taken<=2021-03' (may be repeated)",
    )  # fmt: skip


def chosen_filters(options: argparse.Namespace, **more: Any) -> Filters:
    """What was asked for, with ``more`` fields of ``Filters``. Raises ``UnifexError`` for a condition that is none."""
    from unifex.retrieval.conditions import Condition
    from unifex.retrieval.filters import Filters

    return Filters(
        tuple(options.domain), tuple(options.split), labels=tuple(options.label), folders=tuple(options.folder),
        where=tuple(map(Condition.parse, options.where)), tags=tuple(options.tag), **more,
    )  # fmt: skip
