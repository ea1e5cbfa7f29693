"""Many visitors of a public server at once: searching, one indexing, one training; every answer is checked."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.support.drawing import LABELS, encoded, picture
from tests.support.visiting import Visitor

FILE = {"meta": {"_type": "gradio.FileData"}}
QUERIES = 24
HITS = 10


@dataclass
class Day:
    """What happened. ``seconds``: of every search; ``wrong``: what was not as it should be."""

    seconds: list[float] = field(default_factory=list)
    indexed: int = 0
    trained: int = 0
    wrong: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the searches was answered."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def queries() -> list[bytes]:
    """Pictures to search with, of all labels."""
    labels = list(LABELS)
    return [encoded(picture(labels[number % len(labels)], 500 + number)) for number in range(QUERIES)]


def own_images() -> dict[str, bytes]:
    """A folder to drop, five images of every label."""
    return {
        f"own/{label.split('/')[1]}/{view}.png": encoded(picture(label, view)) for label in LABELS for view in range(5)
    }


def search(visitor: Visitor, path: str, gallery: str) -> list[tuple[str, float]]:
    """Path and similarity of the hits of an upload."""
    found = visitor.call("search", {"path": path, **FILE}, gallery, HITS)
    return [(hit["file"], hit["score"]) for hit in found["results"][0]["hits"]]


def right_answers(url: str, gallery: str) -> list[tuple[bytes, list[tuple[str, float]]]]:
    """Every query with its hits, as one visitor alone gets them."""
    alone = Visitor(url)
    return [(data, search(alone, alone.upload(data), gallery)) for data in queries()]


def spend(url: str, gallery: str, visitors: int, seconds: float, pause: float = 0.0) -> Day:
    """So many search for so long, each again ``pause`` seconds after an answer, while one more indexes and deletes,
    and another trains, over and over; each at least once."""
    day, answers, end = Day(), right_answers(url, gallery), time.monotonic() + seconds
    own = own_images()

    def searching(number: int) -> None:
        visitor = Visitor(url)
        paths = [visitor.upload(data) for data, _ in answers]
        turn = number
        while turn == number or time.monotonic() < end:
            began = time.monotonic()
            found = search(visitor, paths[turn % len(paths)], gallery)
            day.seconds.append(time.monotonic() - began)
            if found != answers[turn % len(answers)][1]:
                day.wrong.append(f"visitor {number}, query {turn % len(answers)}: other hits than alone")
            turn += 1
            time.sleep(pause)

    def indexing(_: int) -> None:
        visitor = Visitor(url)
        while not day.indexed or time.monotonic() < end:
            _expect(day, f"{len(own)} images added", visitor.index("own", own))
            _expect(day, "was deleted", visitor.delete("own"))
            day.indexed += 1

    def training(_: int) -> None:
        visitor = Visitor(url)
        _expect(day, f"{len(own)} images added", visitor.index("taught", own))
        while not day.trained or time.monotonic() < end:
            _expect(day, "trained in", visitor.train("taught", f"neck-{day.trained}"))
            day.trained += 1

    jobs: list[tuple[Callable[[int], None], int]] = [(searching, number) for number in range(visitors)]
    jobs += [(indexing, 0), (training, 0)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for outcome in [pool.submit(_watched, day, job, number) for job, number in jobs]:
            outcome.result()
    return day


def _watched(day: Day, job: Callable[[int], None], number: int) -> None:
    try:
        job(number)
    except Exception as error:  # that is what is looked for
        day.wrong.append(f"{job.__name__} {number}: {type(error).__name__}: {error}")


def _expect(day: Day, text: str, shown: Any) -> None:
    if text not in str(shown):
        day.wrong.append(f"'{text}' is not in: {str(shown)[:300]}")


def memory(url: str) -> int:
    """Resident bytes of the server."""
    with urllib.request.urlopen(f"{url}health", timeout=30) as answer:
        return json.load(answer)["memory_bytes"]
