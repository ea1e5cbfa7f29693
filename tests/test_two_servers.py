"""Two servers on one folder of galleries: each sees what the other does, and only one writes a gallery at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.support.crowd import search
from tests.support.drawing import LABELS, encoded, picture
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from tests.support.visiting import Visitor
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library

CROSSES = {f"signs/cross/{view}.png": encoded(picture("signs/cross", view)) for view in range(3)}
DISCS = {f"shapes/disc/{view}.png": encoded(picture("shapes/disc", view)) for view in range(2)}


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    return tmp_path_factory.mktemp("shared") / "indexes"


@pytest.fixture(scope="module")
def servers(indexes, tmp_path_factory):
    """Both are there before anything else is."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(serve(indexes, log=tmp_path_factory.mktemp("log") / f"{number}.log"))
            for number in range(2)
        ]


@pytest.fixture(scope="module")
def pages(servers):
    return [Visitor(server.url) for server in servers]


def wait_until_ready(server: Server) -> str:
    """What the page's header says then."""
    while not (state := httpx.get(f"{server.url}health").json())["ready"]:
        time.sleep(0.2)
    return state["state"]


def labels(page: Visitor, gallery: str) -> set[str]:
    path = page.upload(CROSSES["signs/cross/0.png"])
    return {file.split("/")[-2] for file, _ in search(page, path, gallery)}


def test_both_get_ready_where_one_draws_the_demo(servers):
    assert all("CPU" in wait_until_ready(server) for server in servers)


def test_what_one_does_the_other_sees(pages):
    one, other = pages
    assert "3 images added" in one.index("shared", CROSSES)
    assert "shared" in other.galleries()
    assert labels(other, "shared") == {"cross"}
    assert "2 images added" in other.index("shared", DISCS)
    assert labels(one, "shared") == {"cross", "disc"}
    assert "was deleted" in one.delete("shared")
    assert "shared" not in other.galleries()
    with pytest.raises(RuntimeError, match="no gallery 'shared'"):
        labels(other, "shared")
    assert "2 images added" in one.index("shared", DISCS)
    assert labels(other, "shared") == {"disc"}


def test_only_one_writes_a_gallery_at_a_time(pages, indexes):
    many = [
        {
            f"{label}/{page}-{view}.png": encoded(picture(label, 100 * page + view))
            for label in LABELS
            for view in range(40)
        }
        for page in range(2)
    ]
    assert "3 images added" in pages[0].index("busy", CROSSES)
    with ThreadPoolExecutor(2) as pool:
        shown = list(pool.map(lambda page, files: page.index("busy", files), pages, many))
    refused = [text for text in shown if "is being written by another process" in text]
    assert len([text for text in shown if "images added" in text]) + len(refused) == 2
    assert len(Gallery.open(indexes / "busy").snapshot()) == 3 + 160 * (2 - len(refused))


def test_one_gets_ready_while_another_process_writes(tmp_path, embedder, folder):
    gallery = Gallery.create(tmp_path / "indexes" / "pictures", embedder)
    with gallery.write(), serve(gallery.folder.parent, "--gallery", str(folder)) as server:
        assert "CPU" in wait_until_ready(server)


def test_a_visitor_is_the_same_at_both(tmp_path, embedder, folder):
    run_index(Gallery.create(tmp_path / "indexes" / "drawn", embedder), folder)
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(serve(tmp_path / "indexes", "--public", log=tmp_path / f"{number}.log"))
            for number in range(2)
        )
        visitor = Visitor(one.url)
        assert "3 images added" in visitor.index("mine", CROSSES)
        moved = Visitor(other.url, token=visitor.http.cookies["unifex_visitor"])
        assert "mine" in moved.galleries()
        assert "mine" not in Visitor(other.url).galleries()
        assert "is deleted" in moved.press("delete-my-data")[0]
        assert "mine" not in visitor.galleries()
        with pytest.raises(RuntimeError, match="no gallery 'mine'"):
            labels(visitor, "mine")
    assert Library(tmp_path / "indexes").names()
