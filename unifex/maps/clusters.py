"""What lies together on a map, and what it is called.

The items' density is drawn on a grid and blurred; every cell belongs to the peak that it climbs to, and peaks that rise
little above the pass to a higher one are part of that (watershed by topological persistence: Chazal, Guibas, Oudot,
Skraba 2013, "Persistence-based clustering"). Its time is the grid's, whatever the gallery's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unifex.core.language import say
from unifex.gallery.snapshot import CategoricalColumn, ItemTable

CELLS = 128  # of a side of the grid
LEVELS = (4.5, 1.7)  # cells that the density is blurred by: seen from afar, and near
RISE = 0.35  # share of its height by which a peak has to rise above the pass to a higher one
FEWEST = 5  # items of a cluster that is named
MOST = 400  # clusters of a level, largest first
NAMED, MOSTLY = 0.8, 0.5  # shares of a cluster's items with a label: it is called so, or "mostly" so


@dataclass(frozen=True)
class Cluster:
    """``name``: of its ``items``; it stands where the item at ``middle`` does. ``level`` 0 is seen from afar."""

    name: str
    middle: int
    items: int
    level: int


def clusters(coords: np.ndarray, columns: ItemTable) -> list[Cluster]:
    """The clusters of a map that have a name, coarse ones first, then largest. ``coords`` float [N, 2]."""
    from scipy.ndimage import gaussian_filter  # a tenth of a second, which no start of the program need wait for

    if len(coords) < FEWEST:
        return []
    low = coords.min(axis=0)
    side = max(float((coords - low).max()), 1e-9)  # one scale for both axes: it is drawn so
    cells = np.minimum(((coords - low) / side * CELLS).astype(np.int64), CELLS - 1)
    counted = np.zeros((CELLS, CELLS))
    np.add.at(counted, (cells[:, 0], cells[:, 1]), 1)
    found = []
    for level, blur in enumerate(LEVELS):
        peaks = _peak_of_cells(gaussian_filter(counted, blur, mode="constant"))
        found += _named(peaks[cells[:, 0], cells[:, 1]], coords, columns, level)
    return found


def _peak_of_cells(density: np.ndarray) -> np.ndarray:
    """int64, as ``density``: the cell, by number, of the peak that each belongs to; -1 where nothing is near."""
    flat = density.ravel()
    side = density.shape[1]
    peak = np.full(flat.size, -1)
    parent: dict[int, int] = {}  # of a peak that became part of a higher one

    def highest(cell: int) -> int:
        while cell in parent:
            cell = parent[cell]
        return cell

    for cell in np.argsort(-flat, kind="stable"):
        if flat[cell] <= 1e-6:
            break
        row, column = divmod(int(cell), side)
        around = [
            r * side + c
            for r in range(max(0, row - 1), min(density.shape[0], row + 2))
            for c in range(max(0, column - 1), min(side, column + 2))
        ]
        joined = sorted({highest(int(peak[other])) for other in around if peak[other] >= 0}, key=lambda one: -flat[one])
        peak[cell] = joined[0] if joined else cell
        for lower in joined[1:]:  # this cell is the pass between them
            if flat[lower] - flat[cell] < RISE * flat[lower]:
                parent[lower] = joined[0]
    return np.array([highest(int(cell)) if cell >= 0 else -1 for cell in peak]).reshape(density.shape)


def _named(peaks: np.ndarray, coords: np.ndarray, columns: ItemTable, level: int) -> list[Cluster]:
    """The clusters that can be named, largest first. ``peaks`` int64 [N]: the cluster of each item."""
    names, of, sizes = np.unique(peaks, return_inverse=True, return_counts=True)
    largest = [group for group in np.argsort(-sizes, kind="stable")[:MOST] if sizes[group] >= FEWEST]
    order = np.argsort(of, kind="stable")
    ends = np.cumsum(sizes)
    found = []
    for group in largest:
        rows = order[ends[group] - sizes[group] : ends[group]]
        if names[group] >= 0 and (name := _name(rows, columns)):
            away = ((coords[rows] - np.median(coords[rows], axis=0)) ** 2).sum(axis=1)
            found.append(Cluster(name, int(rows[np.argmin(away)]), len(rows), level))
    return found


def _name(rows: np.ndarray, columns: ItemTable) -> str:
    """What these items are called: by label, else by domain; empty where neither tells."""
    for column in (columns.labels, columns.domains):
        name, share = _most(column, rows)
        if name and share >= MOSTLY:
            return name if share >= NAMED else say("mostly {label}", label=name)
    return ""


def _most(column: CategoricalColumn, rows: np.ndarray) -> tuple[str, float]:
    """The most frequent name among these rows, and its share of them."""
    counts = np.bincount(column.codes[rows], minlength=len(column.names))
    most = int(counts.argmax())
    return str(column.names[most]), counts[most] / len(rows)
