"""Today's published backbones the whole way that a user goes, with random weights in the very files of their hub.

    python -m benchmarks.published_layouts [BACKBONE ...] [--pictures FOLDER] [--weights FOLDER]

Each is written as its library publishes it, served by a hub on loopback and then, by commands alone, fetched, indexed,
searched with words and with an image, trained on, given a linear layer of others, exported, packed, unpacked into
another library and searched there. Told are the seconds of each step, and what failed. Weights are random, so nothing
is said of how well anything is found. ``FOLDER`` keeps the weights, some gigabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import drawing, published, stub_hub
from tests.support.stub_hub import StubHub
from unifex.models import zoo
from unifex.models.backbones import BackboneSpec

BACKBONES = (
    "open_clip:MobileCLIP2-S0:dfndr2b",
    "open_clip:PE-Core-S-16-384:meta",
    "open_clip:ViT-B-16-SigLIP2:webli",
    "timm:vit_small_patch14_dinov2.lvd142m",
)
VIEWS = 50  # of four labels
HITS = 10
LAYER_DIM = 512  # of those that ILIAS publishes


class Failed(Exception):
    """What a step said that did not do what it should."""


def program(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, as users start it."""
    return subprocess.run([sys.executable, *arguments], env=os.environ | environment, capture_output=True, text=True)


@dataclass
class Walk:
    """One backbone's way; ``seconds`` by step, ``failed`` by step what was said."""

    spec: BackboneSpec
    pictures: Path
    place: Path
    hub: StubHub
    run: Callable[..., subprocess.CompletedProcess[str]] = program
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def query(self) -> str:
        """One of the pictures."""
        return str(next(path for path in sorted(self.pictures.rglob("*")) if path.is_file()))

    def unifex(self, *arguments: str, library: str = "library") -> dict[str, Any]:
        """What a command answers. Raises :class:`Failed` with the last line of what it says otherwise."""
        environment = {
            "HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.place / "hf"), "HF_HUB_OFFLINE": "0",
            "UNIFEX_CACHE": str(self.place / "cache"),
        }  # fmt: skip
        command = ("-m", "unifex", *arguments, "--library", str(self.place / library), "--json")
        done = self.run(*command, environment=environment)
        if done.returncode:
            raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        if "Traceback" in done.stderr:
            raise Failed(f"a traceback besides its answer: {done.stderr.strip().splitlines()[-1]}")
        return json.loads(done.stdout)

    def steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Names, and what to do. Words only where the backbone knows some."""
        words = [("words", self.words)] if self.spec.text else []
        yield from (("download", self.download), ("index", self.index), *words, ("search", self.search))
        yield from (("train", self.train), ("layer", self.layer), *((f"export {f}", p) for f, p in self.exports()))
        yield from (("pack", self.pack), ("unpack", self.unpack), ("search there", self.search_there))
        yield from [("words there", self.words_there)] if self.spec.text else []

    def go(self, without: Container[str] = ()) -> None:
        """All steps but these; one that fails does not keep the next from being tried."""
        for name, step in self.steps():
            if name in without:
                continue
            began, asked = time.perf_counter(), len(self.hub.requests)
            try:
                step()
                if name != "download" and len(self.hub.requests) > asked:
                    raise Failed(f"the hub was asked: {self.hub.requests[asked]}")
            except Failed as error:
                self.failed[name] = str(error)
            self.seconds[name] = time.perf_counter() - began
            print(f"  {name:20}{self.seconds[name]:8.1f} s  {self.failed.get(name, '')}", flush=True)

    def download(self) -> None:
        self.unifex("download", self.spec.id)

    def index(self) -> None:
        answer = self.unifex("index", str(self.pictures), "--gallery", "pictures", "--model", f"raw:{self.spec.id}")
        if answer["failed"] or not answer["items"]:
            raise Failed(f"{answer['items']} items, refused: {answer['failed'][:1]}")

    def hits(self, *query: str, library: str = "library") -> list[tuple[str, float]]:
        """Path and score of the first ten."""
        results = self.unifex("search", *query, "--gallery", "pictures", library=library)["results"]
        found = [(hit["path"], round(hit["score"], 4)) for hit in results[0]["hits"]]
        if len(found) != HITS:
            raise Failed(f"{len(found)} hits")
        return found

    def words(self) -> None:
        if self.hits("--text", "a red disc") == self.hits("--text", "a photograph of a dog on a beach"):
            raise Failed("the words do not matter")

    def search(self) -> None:
        if self.hits(self.query)[0][1] < 0.999:
            raise Failed("a picture does not find itself")

    def train(self) -> None:
        self.unifex("train", "--gallery", "pictures", "--save", "taught", "--preset", "quick")
        self.unifex("use", "pictures", "taught")
        self.hits(self.query)

    def layer(self) -> None:
        import torch

        file = self.place / "layer.pth"
        layer = torch.nn.Linear(self.spec.feature_dim, LAYER_DIM)
        torch.save({f"layer.{name}": tensor for name, tensor in layer.state_dict().items()}, file)
        self.unifex("import", str(file), "--save", "layer", "--backbone", self.spec.id)
        self.unifex("use", "pictures", "layer")
        self.hits(self.query)
        self.unifex("use", "pictures", "taught")

    def exports(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """A step a format."""
        for format, suffix in (("torchscript", ".pt"), ("onnx", ".onnx"), ("safetensors", "")):
            out = str(self.place / f"exported{suffix}")
            command = ("export", "--model", "taught", "--format", format, "--out", out)
            yield format, lambda command=command: self.unifex(*command)

    def pack(self) -> None:
        self.unifex("pack", "pictures", "--images", "--out", str(self.place / "packed.zip"))

    def unpack(self) -> None:
        answer = self.unifex("unpack", str(self.place / "packed.zip"), "--gallery", "pictures", library="elsewhere")
        if answer["model"] != "taught":
            raise Failed(f"it is searched with {answer['model']}")

    def search_there(self) -> None:
        if self.hits(self.query, library="elsewhere") != self.hits(self.query):
            raise Failed("other hits than here")

    def words_there(self) -> None:
        text = ("--text", "a red disc")
        if self.hits(*text, library="elsewhere") != self.hits(*text):
            raise Failed("other hits than here")


def main() -> int:
    """Walk, print a table; exit code 1 when a step failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="*", default=BACKBONES)
    parser.add_argument("--pictures", type=Path, help="a folder of labelled images (default: 200 are drawn)")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="keeps the random weights")
    arguments = parser.parse_args()
    walks = []
    with tempfile.TemporaryDirectory() as scratch:
        pictures = arguments.pictures or drawing.write_folder(Path(scratch) / "pictures", VIEWS)
        repositories = arguments.weights or Path(scratch) / "hub"
        for id in arguments.backbones:
            spec = zoo.get(id)
            print(id, flush=True)
            assert spec.hub_file
            if not (repositories / spec.hub_file.repo).is_dir():
                published.write(repositories, id)
            with stub_hub.running(repositories) as hub, tempfile.TemporaryDirectory(dir=scratch) as place:
                walks.append(Walk(spec, pictures, Path(place), hub))
                walks[-1].go()
    print()
    for walk in walks:
        told = ", ".join(f"{name} {seconds:.0f}" for name, seconds in walk.seconds.items())
        print(f"{walk.spec.id}: {told}; failed: {walk.failed or 'nothing'}")
    return int(any(walk.failed for walk in walks))


if __name__ == "__main__":
    sys.exit(main())
