"""How cost grows with a gallery: time, memory, disk and latency at 1,000 to 1,000,000 items, and a plot of them.

    python -m benchmarks.growth SOURCE [--items 1000 10000 100000 1000000] [--out assets/growth.svg]

Features are those of 1,000 images of the source, with noise of a fifth of their length, as in ``benchmarks.latency``;
so the backbone's time, which is the same for every image, is not in it. Every size is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.latency import SEEDS, fill, milliseconds
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.models.embedder import Embedder
from unifex.retrieval.search import search

SEARCHES = 100
PANELS = {  # what is measured: its unit
    "commit": "s", "embed and index": "s", "open": "s", "disk": "MB", "memory": "MB", "search": "ms",
}  # fmt: skip


def measure(source: str, count: int) -> dict[str, float]:
    """One size."""
    embedder = Embedder.load()
    items = [item for item in open_source(source) if isinstance(item, Item)]
    data = items[0].read()
    seeds = embedder.features([item.read() for item in items[:: max(1, len(items) // SEEDS)]])
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        gallery = fill(Gallery.create(Path(scratch) / "g", embedder), seeds, count)
        commit, started = time.perf_counter() - started, time.perf_counter()
        gallery.derived.save()
        embed = time.perf_counter() - started
        disk = gallery.facts().bytes / 1e6
        code = f"from benchmarks.growth import opened; opened({scratch + '/g'!r}, {items[0].uri!r})"
        parts = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    del data
    return {"commit": commit, "embed and index": embed, "disk": disk, **parts}


def opened(folder: str, image: str) -> None:
    """In a process that finds the gallery on disk: print seconds to open it, memory, milliseconds of a search."""
    embedder = Embedder.load()
    data = Path(image).read_bytes()
    embedder.embed([data])
    before = own_megabytes()
    started = time.perf_counter()
    gallery = Gallery.open(folder)
    gallery.snapshot()
    seconds = time.perf_counter() - started
    median, _ = milliseconds({"search": lambda: search(gallery, [data], 10)}, SEARCHES)["search"]
    print(json.dumps({"open": seconds, "memory": own_megabytes() - before, "search": median}))


def own_megabytes() -> float:
    """What this process holds, without the files it has mapped, which the system may take back (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000


def plot(sizes: list[int], found: list[dict[str, float]]) -> str:
    """An SVG of one panel a measure, both axes logarithmic; a straight grey line is growth in proportion."""
    width, height, pad = 240, 170, 60
    parts = []
    for number, (name, unit) in enumerate(PANELS.items()):
        left, top = number % 3 * (width + pad) + pad, number // 3 * (height + 64) + 34
        values = [row[name] for row in found]
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        high = max(high, low + 1, math.ceil(math.log10(max(values)) + 0.1))  # room for the highest one's figure
        x = lambda size: left + width * math.log10(size / sizes[0]) / math.log10(sizes[-1] / sizes[0])  # noqa: E731, B023
        y = lambda value: top + height * (1 - (math.log10(value) - low) / (high - low))  # noqa: E731, B023
        parts.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" class="frame"/>')
        parts.append(text(left, top - 10, f"{name} ({unit})", "title", "start"))
        parts += [text(left - 6, y(10**power) + 4, f"{10**power:g}", "tick", "end") for power in range(low, high + 1)]
        parts += [text(x(size), top + height + 16, short(size), "tick") for size in sizes]
        proportional = [(size, values[-1] * size / sizes[-1]) for size in sizes]
        seen = [(size, value) for size, value in proportional if math.log10(value) >= low]
        for points, kind in ((seen, "proportion"), (list(zip(sizes, values)), "measured")):
            path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in points)
            parts.append(f'<polyline points="{path}" class="{kind}"/>')
        for size, value in zip(sizes, values):
            anchor = {sizes[0]: "start", sizes[-1]: "end"}.get(size, "middle")
            parts.append(f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" class="dot"/>')
            parts.append(
                text(x(size), y(value) - 8, f"{value:,.0f}" if value >= 100 else f"{value:.3g}", "value", anchor)
            )
    style = (
        "text{font:12px system-ui,sans-serif;fill:#808590}.title{font-weight:600}.value{font-size:11px}"
        ".frame{fill:none;stroke:#80859055}.proportion{fill:none;stroke:#80859077;stroke-dasharray:4 4}"
        ".measured{fill:none;stroke:#4f7cff;stroke-width:2}.dot{fill:#4f7cff}"
    )
    whole = 3 * (width + pad) + 24, 2 * (height + 64) + 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole[0]} {whole[1]}" role="img">'
    title = "<title>Cost of a gallery by its number of items</title>"
    return "\n".join([head, title, f"<style>{style}</style>", *parts, "</svg>", ""])


def short(count: int) -> str:
    """1000 as 1k, a million as 1M."""
    return f"{count // 1000}k" if count < 10**6 else f"{count // 10**6}M"


def text(x: float, y: float, said: str, kind: str, anchor: str = "middle") -> str:
    """An SVG text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{said}</text>'


def main() -> None:
    """Measure every size, print a table, write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--out", type=Path, help="FILE.svg")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.source, arguments.items[0])))
        return
    found = []
    print(f"{'items':>10}" + "".join(f"{f'{name} {unit}':>20}" for name, unit in PANELS.items()))
    for count in arguments.items:
        command = [sys.executable, "-m", "benchmarks.growth", arguments.source, "--items", str(count), "--child"]
        found.append(json.loads(subprocess.check_output(command, text=True)))
        print(f"{count:>10,}" + "".join(f"{found[-1][name]:>20.3g}" for name in PANELS), flush=True)
    if arguments.out:
        arguments.out.write_text(plot(arguments.items, found), encoding="utf-8")


if __name__ == "__main__":
    main()
