"""``python -m unifex COMMAND``: everything the app does, from a shell.

With ``--json`` one JSON object goes to stdout and nothing else; progress and warnings go to stderr. Exit code 0: done,
1: failed (the reason on stderr), 2: wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

from unifex import __version__
from unifex.cli import (
    data,
    duplicates,
    exchange,
    exporting,
    galleries,
    indexing,
    measuring,
    models,
    saved,
    searching,
    settings,
    training,
)
from unifex.cli.options import Parser, UsageError
from unifex.core import console
from unifex.core.system import interrupted_once

EXAMPLES = """examples:
  python -m unifex index photos/ --gallery holiday
  python -m unifex search query.jpg --gallery holiday -k 5
  python -m unifex info holiday
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    with interrupted_once():
        return console.run(lambda: _run(arguments), "nothing is left half done, the same command begins anew")


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        try:
            answer = options.run(options)  # what libraries print is no part of the answer
        except UsageError as error:
            print(options.parser.sentence(str(error)), file=sys.stderr)
            return 2
    if options.json and answer is not None:
        console.print_json(answer)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m unifex",
        description="A visual search engine of your images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"UniFEx {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run, help: str, model: str = "") -> Parser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=run, parser=added)
        added.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        settings.add_options(added, everywhere_only=True, model=model)
        return added

    for group in (
        indexing,
        searching,
        saved,
        duplicates,
        measuring,
        training,
        models,
        data,
        exchange,
        exporting,
        galleries,
    ):
        group.add_commands(command)
    return parser
