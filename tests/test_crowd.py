"""The short version of ``benchmarks/crowd.py``: visitors who search while one indexes and another trains."""

from __future__ import annotations

import pytest

from tests.support.crowd import memory, own_images, queries, search, spend
from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.serving import serve
from tests.support.visiting import Visitor
from unifex.gallery.gallery import Gallery

LIMITS = ("--rate", "100000", "--visitor-trainings", "1000")


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder):
    base = tmp_path_factory.mktemp("crowd")
    run_index(Gallery.create(base / "indexes" / "shared", embedder), write_folder(base / "pictures", 20))
    with serve(base / "indexes", "--public", *LIMITS) as running:
        yield running


def test_many_search_while_one_indexes_and_one_trains(server):
    day = spend(server.url, "shared", visitors=12, seconds=5)
    assert day.wrong == []
    assert len(day.seconds) >= 12
    assert day.indexed
    assert day.trained


@pytest.mark.slow
def test_memory_stays_flat(server):
    visitor = Visitor(server.url)
    paths = [visitor.upload(data) for data in queries()]

    def use(searches: int) -> int:
        for number in range(searches):
            search(visitor, paths[number % len(paths)], "shared")
        assert "20 images added" in visitor.index("again", own_images())
        assert "was deleted" in visitor.delete("again")
        return memory(server.url)

    use(50)
    assert use(20) - use(120) > -20e6  # what 150 searches cost when every one left a session behind was 66 MB
