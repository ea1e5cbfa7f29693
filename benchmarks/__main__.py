"""Every figure that has a bar, as one table. Each benchmark is a process of its own; ratios are of one run.

    python -m benchmarks SOURCE.csv [--only indexing latency ...]

SOURCE is a manifest with a train split. Takes half an hour on two cores. `pip install hnswlib usearch` adds these two
to the rivals of nearest-neighbour search.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import ROWS_FILE, Row

SUITE: dict[str, tuple[str, ...]] = {  # module -> its arguments besides the source
    "indexing": ("--images", "1000"),
    "latency": ("--items", "100000"),
    "training": (),
    "losses": (),
    "nearest": (),
    "evaluation": (),
    "maps": ("--points", "10000"),
    "reembedding": ("--items", "100000"),
    "startup": (),
    "facets": ("--items", "100000"),
}
WITHOUT_SOURCE = {"losses", "evaluation", "startup", "facets"}


def main() -> int:
    """Run the suite, print the table; exit code 1 when a benchmark failed or a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--only", nargs="+", choices=SUITE, default=list(SUITE))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows"
        file.touch()
        failed = []
        for name in arguments.only:
            source = () if name in WITHOUT_SOURCE else (arguments.source,)
            print(f"\n--- {name}", flush=True)
            command = [sys.executable, "-m", f"benchmarks.{name}", *source, *SUITE[name]]
            if subprocess.run(command, env=os.environ | {ROWS_FILE: str(file)}).returncode:
                failed.append(name)
        rows = [Row(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    print()
    for row in rows:
        print(row.line())
    for name in failed:
        print(f"{name} FAILED")
    return int(bool(failed) or not all(row.met for row in rows))


if __name__ == "__main__":
    sys.exit(main())
