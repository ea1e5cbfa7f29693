"""What a step of the paper's loss costs at the paper's size: 34,800 classes, 3 centres each, 64-d, batches of 128.

    python -m benchmarks.losses [--classes 34800] [--steps 20] [--runs 3]

Forward and backward of ours and of pytorch-metric-learning's SubCenterArcFaceLoss, each in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

from benchmarks.table import Row, tell

BATCH, DIM, CENTRES = 128, 64, 3


def main() -> None:
    """Run both, print a table; with ``--child`` measure one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=34_800)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", choices=MAKERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(*measure(arguments.child, arguments.classes, arguments.steps))
        return
    found: dict[str, list[list[float]]] = {name: [] for name in MAKERS}
    for _ in range(arguments.runs):
        for name in MAKERS:
            command = [sys.executable, "-m", "benchmarks.losses", "--child", name]
            command += ["--classes", str(arguments.classes), "--steps", str(arguments.steps)]
            found[name].append([float(part) for part in subprocess.check_output(command, text=True).split()])
    medians = {name: [statistics.median(column) for column in zip(*values)] for name, values in found.items()}
    for name, (seconds, megabytes) in medians.items():
        print(f"{name:26} {1000 * seconds:7.1f} ms a step, {megabytes:6.0f} MB above the libraries at the peak")
    (seconds, megabytes), (theirs, their_megabytes) = medians.values()
    tell(
        Row("loss step", f"{1000 * seconds:.0f} ms", f"metric-learning {1000 * theirs:.0f} ms", theirs / seconds, 1.5),
        Row("loss step, memory", f"{megabytes:.0f} MB", f"{their_megabytes:.0f} MB", their_megabytes / megabytes, 1),
    )


def measure(name: str, classes: int, steps: int) -> tuple[float, float]:
    """Median seconds of a step, and the peak of memory in MB beyond what importing the libraries takes."""
    import torch

    loss = MAKERS[name](1)
    embeddings = torch.randn(BATCH, DIM, requires_grad=True)
    loss(embeddings[:1], torch.zeros(1, dtype=torch.int64)).backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss = MAKERS[name](classes)
    spent = []
    for _ in range(steps):
        labels = torch.randint(classes, (BATCH,))
        started = time.perf_counter()
        loss.zero_grad()
        loss(embeddings, labels).backward()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000


def _ours(classes: int):
    import torch

    from unifex.training.losses import NestedLoss

    return NestedLoss("subcentre-arcface", torch.ones(classes), (DIM,), sub_centres=CENTRES)


def _peer(classes: int):
    from pytorch_metric_learning.losses import SubCenterArcFaceLoss

    return SubCenterArcFaceLoss(num_classes=classes, embedding_size=DIM, sub_centers=CENTRES, margin=28.6, scale=30)


MAKERS = {"UniFEx": _ours, "pytorch-metric-learning": _peer}


if __name__ == "__main__":
    main()
