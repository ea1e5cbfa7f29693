"""``kill -9`` at random moments of a gallery's life, and what was lost.

    python -m benchmarks.kills [--kills 50] [--seed 0]

A process indexes a folder, removes half of the items, adds them again, trains a neck, re-embeds the gallery with
another and saves a model, round and round; it says when each begins and ends. After every kill the gallery must open,
hold what was committed, and serve nothing half; every model must load, and none that was saved may be missing; a
training that was begun goes on in the next round.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from tests.support.drawing import LABELS, encoded, picture
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder
from unifex.training.config import TrainConfig
from unifex.training.run import train

GALLERY = "lived"
VIEWS = 15  # few, so that indexing ends now and then
SECONDS = {"index": 0.8, "remove": 0.06, "use": 0.06, "train": 1.5, "save": 0.02}  # about what each takes
RECIPE = TrainConfig(dims=(64,), epochs=20, batch_size=8, init="random")
MODEL = "taught"


def live(folder: Path, pictures: Path) -> None:
    """Change the gallery until killed."""
    library, lite, raw = Library(folder), Embedder.load(), Embedder.raw("lite0")
    lite.embed([picture("signs/cross", 0)])
    print("ready", flush=True)
    while True:
        for name, change in ROUND:
            print("begin", name, flush=True)
            change(library, pictures, lite, raw)
            print("end", name, flush=True)


def _index(library: Library, pictures: Path, lite: Embedder, raw: Embedder) -> None:
    finish(index(library.get_or_create(GALLERY, lambda: lite), str(pictures)))


def _remove(library: Library, pictures: Path, lite: Embedder, raw: Embedder) -> None:
    with library.get(GALLERY).write() as writer:
        writer.remove(library.get(GALLERY).snapshot().columns.ids[::2])


def _use(library: Library, pictures: Path, lite: Embedder, raw: Embedder) -> None:
    wanted = raw if library.get(GALLERY).config.model == lite.name else lite
    finish(library.use(GALLERY, wanted))


def _train(library: Library, pictures: Path, lite: Embedder, raw: Embedder) -> None:
    if (library.models / MODEL).exists():
        gone = (library.models / MODEL).rename(library.models / f".gone-{uuid.uuid4().hex}")
        shutil.rmtree(gone)
    finish(train(library.get(GALLERY), MODEL, RECIPE))


def _save(library: Library, pictures: Path, lite: Embedder, raw: Embedder) -> None:
    lite.save_as(f"copy-{len(list(library.models.glob('copy-*')))}", library.models)


ROUND = (
    ("index", _index), ("remove", _remove), ("index", _index), ("train", _train), ("use", _use), ("save", _save)
)  # fmt: skip


def wait_for(process: subprocess.Popen, begun: int) -> list[str]:
    """What the process said until it had begun so many things."""
    assert process.stdout
    said = []
    while sum(line.startswith("begin") for line in said) < begun:
        said.append(process.stdout.readline().strip())
        if process.poll() is not None:
            raise RuntimeError("the process ended by itself")
    return [line for line in said if line != "ready"]


def check(folder: Path, said: list[str], before: int, total: int) -> tuple[int, list[str]]:
    """How many items there are now, and what is wrong with the gallery."""
    wrong = []
    gallery = Gallery.open(folder / GALLERY)
    current = gallery.snapshot()
    records = gallery.records(current.columns.ids)
    if len(records) != len(current):
        wrong.append("an item without a record")
    features = gallery.features([record.sha256 for record in records]) if records else np.zeros((0, 1))
    if records:
        fresh = gallery.embedder.neck.embed(features, gallery.config.dim)
        if not np.allclose(fresh, current.embeddings, atol=1e-6):
            wrong.append("an embedding that is not its features'")
        if np.linalg.norm(current.embeddings, axis=1).min() < 0.999:
            wrong.append("an empty embedding")
    if not all(gallery.thumbnail(record.sha256) for record in records):
        wrong.append("an item without a thumbnail")
    count, done, going = len(records), before, ""
    for line in said:
        kind, _, name = line.partition(" ")
        going = name if kind == "begin" else ""
        if kind == "end":
            done = total if name == "index" else done // 2 if name == "remove" else done
    allowed = {"index": range(done, total + 1), "remove": (done, done // 2)}.get(going, (done,))
    if count not in allowed:
        wrong.append(f"{count} items after {said[-2:]}, {done} were committed")
    return count, wrong


def check_models(folder: Path, said: list[str], before: int) -> tuple[int, list[str]]:
    """How many saved models there are now, and what is wrong with them. Raises what loading one raises."""
    models = folder / "models"
    wrong = [f"half a model: {path.name}" for path in models.glob("[!.]*/") if not (path / "config.json").is_file()]
    for path in models.glob("[!.]*/config.json"):
        Embedder.load(path.parent.name, models=models)
    copies = len(list(models.glob("copy-*")))
    if copies < before + said.count("end save"):
        wrong.append(f"{copies} models after {said[-2:]}, {before + said.count('end save')} were saved")
    trainings = [line for line in said if line.endswith("train")]
    if trainings[-1:] == ["end train"] and not (models / MODEL).is_dir():
        wrong.append("a trained model is missing")
    return copies, wrong


def main() -> None:
    """Print a line a kill and the sum; exit code 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        live(*arguments.child)
    rng, lost, total, before, copies = random.Random(arguments.seed), [], len(LABELS) * VIEWS, 0, 0
    with tempfile.TemporaryDirectory(prefix="unifex-kills-") as scratch:
        folder, pictures = Path(scratch) / "indexes", Path(scratch) / "pictures"
        folder.mkdir()
        for label in LABELS:
            (pictures / label).mkdir(parents=True)
            for view in range(VIEWS):
                (pictures / label / f"{view}.png").write_bytes(encoded(picture(label, view)))
        moments: dict[str, int] = {}
        for number in range(arguments.kills):
            command = [sys.executable, "-m", "benchmarks.kills", "--child", str(folder), str(pictures)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            said = wait_for(process, rng.randint(1, 2 * len(ROUND)))
            time.sleep(rng.uniform(0.0, SECONDS[said[-1].partition(" ")[2]]))
            process.kill()
            said += process.communicate()[0].splitlines()
            if not (folder / GALLERY / "gallery.json").is_file():
                continue  # killed before there was a gallery
            before, wrong = check(folder, said, before, total)
            copies, broken = check_models(folder, said, copies)
            moments[said[-1]] = moments.get(said[-1], 0) + 1
            lost += [f"kill {number}: {what}" for what in wrong + broken]
        print(f"{arguments.kills} kills: " + ", ".join(f"{count} at '{name}'" for name, count in moments.items()))
        print("\n".join(lost) or "nothing was lost, nothing half was served")
    raise SystemExit(bool(lost))


if __name__ == "__main__":
    main()
