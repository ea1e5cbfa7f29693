"""UMAP in a process of its own, so that it can be ended at once and its compilation stops nobody's search.

    python -m unifex.maps.umap_worker OUT.npy PRIORITY

Once UMAP is imported, the paths of its works are read from standard input, a line each: a .npz of ``near`` int [N, k]
and ``distances`` float [N, k] (each row begins with the item itself), ``start`` float [N, 2], ``epochs``, ``seed``.
Prints the number of the epoch it is in, a line each, and "done" once float32 [N, 2] is written to OUT.
PRIORITY is 0 or, up to 19, how much all else comes first.
"""

from __future__ import annotations

import os
import re
import sys
import warnings

import numpy as np

DONE = "done"


class EpochLines:
    """The file that umap's progress bar writes to: it makes a line of every number."""

    def write(self, text: str) -> None:
        """tqdm gives the epoch between a carriage return and padding."""
        if found := re.search(r"\d+", text):
            print(found[0], flush=True)

    def flush(self) -> None:
        """Lines are flushed as they are printed."""


def keep_compiled() -> None:
    """Have numba keep all that umap compiles in ``NUMBA_CACHE_DIR``: ten to twenty seconds, paid once a machine."""
    import numba

    njit = numba.njit
    numba.njit = lambda *arguments, **options: njit(*arguments, **{"cache": True, **options})


def main() -> None:
    """Import, then read a work, fit it, write its result, until nobody wants another."""
    warnings.filterwarnings("ignore")
    if hasattr(os, "nice"):  # not on Windows
        os.nice(int(sys.argv[2]))
    if "NUMBA_CACHE_DIR" in os.environ:
        keep_compiled()
    import umap

    while path := sys.stdin.readline().strip():
        with np.load(path) as work:
            near, distances, start = work["near"], work["distances"], work["start"]
            epochs, seed = int(work["epochs"]), int(work["seed"])
        print("0", flush=True)
        fitted = umap.UMAP(
            n_neighbors=near.shape[1],
            n_epochs=epochs,
            init=start,
            random_state=seed,
            precomputed_knn=(near, distances, None),
            force_approximation_algorithm=True,  # umap forgets precomputed neighbours of fewer than 4,096 points
            tqdm_kwds={"file": EpochLines(), "disable": False, "bar_format": "{n_fmt}", "mininterval": 0.2},
        ).fit(start)  # the data itself is not looked at: neighbours and start are given
        np.save(sys.argv[1], fitted.embedding_.astype(np.float32))
        print(DONE, flush=True)


if __name__ == "__main__":
    main()
