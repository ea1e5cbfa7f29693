"""``/api/v1`` in this process: what is refused alike everywhere, galleries that go meanwhile, and what caches ask."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.gallery.database import Database
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.ui.context import AppContext
from unifex.ui.rest.api import RestFace, rest_api

DRAWN = "/galleries/drawn"
CROSS = encoded(picture("signs/cross", 3))
PNG = {"content": CROSS, "headers": {"content-type": "image/png"}}
NO_ITEM = "gallery 'drawn' has no item 999"


@pytest.fixture(scope="module")
def library(tmp_path_factory, embedder) -> Path:
    root = tmp_path_factory.mktemp("rest")
    run_index(Gallery.create(root / "indexes" / "drawn", embedder), write_folder(root / "pictures", 1))
    return root / "indexes"


@pytest.fixture
def ask(library, embedder) -> Callable[..., httpx.Response]:
    context = AppContext(Settings(library=library), Library(library), embedder)
    face = RestFace(rest_api(context))

    async def app(scope, receive, send):
        await face({**scope, "app": SimpleNamespace(auth=None)}, receive, send)

    def request(method: str, path: str, **sent) -> httpx.Response:
        async def answer() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as http:
                return await http.request(method, path, **sent)

        return asyncio.run(answer())

    return request


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        (("GET", f"{DRAWN}/items?order=%2Bfoo"), "cannot_be_done", "no column 'foo'"),
        (("GET", f"{DRAWN}/items?order=+foo"), "cannot_be_done", "no column 'foo'"),
        (("GET", f"{DRAWN}/items?order=-foo"), "cannot_be_done", "no column 'foo'"),
        (("GET", f"{DRAWN}/items?order=foo"), "cannot_be_done", "label, path, newest, +COLUMN or -COLUMN"),
        (("POST", f"{DRAWN}/search", {"items": [1, 999]}), "cannot_be_done", NO_ITEM),
        (("POST", f"{DRAWN}/search", {"more": [999]}), "cannot_be_done", NO_ITEM),
        (("POST", f"{DRAWN}/search", {"more": [1], "less": [999]}), "cannot_be_done", NO_ITEM),
        (("POST", f"{DRAWN}/search", {"words": "dog", "more": [999]}), "cannot_be_done", NO_ITEM),
        (("POST", f"{DRAWN}/search", {"words": "dog", "less": [999]}), "cannot_be_done", NO_ITEM),
        (("POST", f"{DRAWN}/search", {"words": "dog", "dim": 77}), "no_such_dimension", "no 77-d embedding"),
        (("POST", f"{DRAWN}/search", {"more": [1], "dim": 77}), "no_such_dimension", "no 77-d embedding"),
        (("POST", f"{DRAWN}/search", {"words": "dog", "items": [1], "dim": 77}), "no_such_dimension", "no 77-d"),
        (("POST", f"{DRAWN}/search", []), "invalid_request", "Input should be an object"),
    ],
)
def test_what_is_not_there_is_refused_wherever_it_is_asked_for(ask, asked, code, told):
    method, path, *said = asked
    answer = ask(method, path, **({"json": said[0]} if said else {}))
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["detail"].startswith(told) or told in answer.json()["detail"]


def test_a_refusal_names_the_field_and_says_what_to_send(ask):
    broken = ask("POST", f"{DRAWN}/search", content="{bad", headers={"content-type": "application/json"})
    assert broken.json()["detail"].startswith("Invalid JSON: ")
    for sent in ({"k": "3"}, {"k": "3", "query": "{}"}, {"query": "{}", "colour": "red", "k": "3"}):
        answer = ask("POST", f"{DRAWN}/search", files={"image": CROSS}, data=sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "a form has no field 'k': image is a file" in answer.json()["detail"].replace("'colour'", "'k'")


def test_the_command_line_refuses_the_same_dimension(library, capsys):
    assert main(["search", "--text", "dog", "--dim", "77", "--gallery", "drawn", "--library", str(library)]) == 1
    assert "no 77-d embedding; this model has 64" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["records", "item_table", "counts", "connect"])
@pytest.mark.parametrize("how", ["delete", "rename"])
def test_a_gallery_that_goes_during_a_request_is_none(library, embedder, tmp_path, monkeypatch, method, how):
    """Whatever was being read of it: what fails then says nothing else."""
    folder = Path(shutil.copytree(library, tmp_path / "indexes"))
    own = Library(folder)
    face = rest_api(AppContext(Settings(library=folder), own, embedder))
    read, went = getattr(Database, method), []

    def reads_too_late(self, *arguments, **named):
        if not went and self.folder.parent == folder:
            went.append(how)
            Library(folder).delete("drawn") if how == "delete" else Library(folder).rename("drawn", "elsewhere")
        return read(self, *arguments, **named)

    monkeypatch.setattr(Database, method, reads_too_late)

    async def asked(verb: str, path: str, **sent) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(face), base_url="http://a") as http:
            return await http.request(verb, path, **sent)

    for verb, path, sent in (
        ("GET", f"{DRAWN}", {}),
        ("GET", f"{DRAWN}/items", {}),
        ("GET", f"{DRAWN}/items/1", {}),
        ("GET", f"{DRAWN}/items/1/thumb", {}),
        ("POST", f"{DRAWN}/search", PNG),
        ("POST", f"{DRAWN}/search", {"json": {"items": [1]}}),
    ):
        went.clear()
        shutil.rmtree(folder)
        shutil.copytree(library, folder)
        own._open.clear()
        answer = asyncio.run(asked(verb, path, **sent))
        if answer.status_code != 200:  # what was in memory may be told still
            assert (answer.status_code, answer.json()["code"]) == (404, "no_such_gallery"), (path, answer.text)
        assert asyncio.run(asked(verb, path, **sent)).status_code == (404 if went else 200), path


def test_head_is_answered_where_get_is(ask):
    for path in ("/galleries", DRAWN, f"{DRAWN}/items", f"{DRAWN}/items/1", f"{DRAWN}/items/1/thumb", "/jobs"):
        got, head = ask("GET", path), ask("HEAD", path)
        assert head.status_code == 200, path
        assert head.headers["content-type"] == got.headers["content-type"]
    assert ask("HEAD", f"{DRAWN}/search").status_code == 405
    assert ask("HEAD", "/galleries/none").status_code == 404


def test_a_thumbnail_is_sent_once(ask):
    first = ask("GET", f"{DRAWN}/items/1/thumb")
    tag = first.headers["etag"]
    assert tag == f'"{ask("GET", f"{DRAWN}/items/1").json()["version"]}"'
    assert "no-cache" in first.headers["cache-control"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', f'"other",{tag}', "*"):
        again = ask("GET", f"{DRAWN}/items/1/thumb", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert ask("GET", f"{DRAWN}/items/1/thumb", headers={"if-none-match": '"other"'}).content == first.content
    assert ask("GET", f"{DRAWN}/items/2/thumb", headers={"if-none-match": tag}).status_code == 200
