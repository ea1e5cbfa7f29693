"""Fifty visitors of a public server at once, and its memory over thousands of searches.

    python -m benchmarks.crowd [--visitors 50] [--minutes 5] [--pause 1] [--items 2000]

All search the server's gallery, each again ``--pause`` seconds after an answer; one more indexes and deletes a gallery
of its own and another trains, over and over. Every answer is compared with what a visitor alone got. Then one visitor
makes 2,000 searches and 50 rounds of indexing and deleting, and the server's memory is read. Clients share the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.support.crowd import Day, memory, own_images, queries, search, spend
from tests.support.drawing import LABELS, write_folder
from tests.support.serving import serve
from tests.support.visiting import Visitor
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder

LIMITS = ("--rate", "100000", "--visitor-trainings", "100000", "--visitor-megabytes", "100000")
MEGA = 1e6


def main() -> None:
    """Print the figures; exit code 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--pause", type=float, default=1)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--searches", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unifex-crowd-") as scratch:
        base = Path(scratch)
        gallery = Gallery.create(base / "indexes" / "shared", Embedder.load())
        finish(index(gallery, str(write_folder(base / "pictures", arguments.items // len(LABELS)))))
        with serve(base / "indexes", "--public", *LIMITS, expect_clean_log=False) as server:
            day = spend(server.url, "shared", arguments.visitors, arguments.minutes * 60, arguments.pause)
            _print_day(day, arguments.visitors, arguments.minutes)
            _print_memory(server.url, arguments.searches, arguments.rounds)
        errors = (base / "app.log").read_text().count("Traceback")
    print(f"{errors} exceptions in the server's log, {len(day.wrong)} wrong answers")
    print("\n".join(day.wrong[:20]))
    raise SystemExit(bool(day.wrong or errors))


def _print_day(day: Day, visitors: int, minutes: float) -> None:
    median, slow = (day.percentile(share) * 1000 for share in (0.5, 0.95))
    print(f"{visitors} visitors for {minutes:g} minutes: {len(day.seconds):,} searches")
    print(f"p50 {median:.0f} ms, p95 {slow:.0f} ms")
    print(f"meanwhile {day.indexed} galleries indexed and deleted, {day.trained} necks trained")


def _print_memory(url: str, searches: int, rounds: int) -> None:
    visitor = Visitor(url)
    paths = [visitor.upload(data) for data in queries()]
    before = memory(url)
    print(f"memory after that {before / MEGA:.0f} MB")
    for number in range(searches):
        search(visitor, paths[number % len(paths)], "shared")
        if number % 500 == 499:
            print(f"  after {number + 1:,} searches {(memory(url) - before) / MEGA:+.1f} MB", flush=True)
    files = own_images()
    before = memory(url)
    for number in range(rounds):
        visitor.index("again", files)
        visitor.delete("again")
        if number % 10 == 9:
            print(
                f"  after {number + 1} rounds of indexing and deleting {(memory(url) - before) / MEGA:+.1f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
