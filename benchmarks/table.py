"""One line for a figure that has a bar; ``python -m benchmarks`` collects them into a table."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

ROWS_FILE = "UNIFEX_BENCHMARK_ROWS"


@dataclass(frozen=True)
class Row:
    """``figure`` is a ratio or share, ``bar`` what it should be: at least, or ``at_most``."""

    work: str
    ours: str
    rival: str
    figure: float
    bar: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is as good as it should be."""
        return self.figure <= self.bar if self.at_most else self.figure >= self.bar

    def line(self) -> str:
        """For a terminal."""
        sign, verdict = ("<=" if self.at_most else ">="), ("met" if self.met else "MISSED")
        texts = f"{self.work[:52]:53}{self.ours[:26]:27}{self.rival[:38]:39}"
        return f"{texts}{self.figure:8.2f}  {sign} {self.bar:<5g} {verdict}"


def tell(*rows: Row) -> None:
    """Print them, and hand them to the suite when it runs this benchmark."""
    for row in rows:
        print(f"=> {row.line()}", flush=True)
        if path := os.environ.get(ROWS_FILE):
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
