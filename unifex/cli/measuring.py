"""The commands that show what a gallery is worth: ``evaluate``, ``map``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from unifex.cli.options import OF_GALLERY, PAGE, Parser
from unifex.cli.shared import PAGE_MARKS, check_out, chosen_embedder, library, say, write
from unifex.core.console import watched
from unifex.core.text import plural, size


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    from unifex.evaluation.protocols import PROTOCOLS

    evaluate = command(
        "evaluate",
        _evaluate,
        "measure how well a gallery finds what belongs together (mMP@5 and more)",
        model=OF_GALLERY,
    )
    evaluate.share("--gallery", "--dim")
    ways = "; ".join(f"{name}: {protocol.sentence}" for name, protocol in PROTOCOLS.items())
    evaluate.add_argument("--protocol", choices=tuple(PROTOCOLS), default="auto", help=f"{ways} (default auto)")
    evaluate.share("--seed", help="of the queries that are drawn")
    evaluate.add_argument("--copies", action="store_true", help="byte-identical copies count as hits (leave-one-out)")
    evaluate.share("--rerank", help="re-rank by the neighbourhood, beside plain search")
    evaluate.add_argument(
        "--compare", action="append", default=[], metavar="MODEL", help="a model, raw, pca or pooling"
    )
    evaluate.add_argument("--labels", action="store_true", help="with --json: every label's figures, too")

    map_ = command("map", _map, "write a map of a gallery as one HTML page", model=OF_GALLERY)
    map_.share("--gallery")
    map_.share("--out", type=PAGE, help="FILE.html")
    map_.add_argument("--thumbnails", action="store_true", help="put every item's thumbnail into the page")
    map_.add_argument("--compare", default="", metavar="MODEL", help="a second map, by a model, raw, pca or pooling")
    map_.add_argument("--refresh", action="store_true", help="arrange it again, although there is one")


def _evaluate(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.evaluation.compare import compare
    from unifex.evaluation.protocols import EvalProtocol

    gallery = library(options).get(options.gallery, chosen_embedder(options))
    protocol = EvalProtocol(options.protocol, options.seed, options.copies)
    assessment = watched(compare(gallery, protocol, options.dim, options.rerank, options.compare))
    main = assessment.main
    protocol = (
        f"{main.split.protocol.kind}, {plural(main.queries, 'query')} among {plural(len(main.split.items), 'item')}"
    )
    say(options, f"{gallery.name}: {protocol}, {main.skipped:,} without a relevant item left out\n")
    for remark in assessment.remarks:
        say(options, f"Note: {remark}\n")
    columns = f"{'':32}{'dim':>5}{'mMP@5':>8}   95% interval{'macro':>9}{'R@1':>8}{'R@5':>8}{'mAP@R':>8}"
    say(options, columns)
    for result in assessment.evaluations:
        score, rest = result.overall(), [result.overall(name).value for name in ("recall1", "recall5", "map_r")]
        name = result.model + (" + context" if result.context else "")
        figures = f"{score.value:8.3f}   {score.low:.3f} {score.high:.3f} {result.macro().value:9.3f}"
        say(options, f"{name[:31]:32}{result.dim:5}{figures}{''.join(f'{value:8.3f}' for value in rest)}")
    say(options, f"\n{'domain':32}{'queries':>8}{'mMP@5':>8}   95% interval{'alone':>9}")
    for row in main.domains:
        score = row.mmp5
        figures = f"{score.value:8.3f}   {score.low:.3f} {score.high:.3f} {row.in_domain.value:9.3f}"
        say(options, f"{(row.name or 'no domain')[:31]:32}{row.queries:8,}{figures}")
    return assessment.as_json(options.labels)


def _map(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.maps import page
    from unifex.maps.projection import project

    gallery = library(options).get(options.gallery, chosen_embedder(options))
    check_out(options, options.out, PAGE_MARKS)
    models = ["", options.compare] if options.compare else [""]
    maps = [watched(project(gallery, model, options.refresh)) for model in models]
    text = page.page(gallery, *maps, thumbnails=options.thumbnails)
    write(options.out, text)
    first, written = maps[0], len(text.encode())
    say(options, f"{plural(len(first.ids), 'item')} in {options.out}, {size(written)}")
    return {"out": str(options.out), "items": len(first.ids), "models": [m.model for m in maps], "bytes": written}
