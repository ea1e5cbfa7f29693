"""Large pictures are made a few at a time; who waits for one is in nobody else's way."""

import asyncio
import threading
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from unifex.core import images
from unifex.gallery.library import Library
from unifex.ui.item_routes import item_routes
from unifex.ui.neighbour_routes import neighbour_routes
from unifex.ui.server.guard import COOKIE, Guard
from unifex.ui.server.picture_addresses import ALIKE, PIXELS, PREVIEW, THUMBNAIL, address
from unifex.ui.server.quotas import MAX_PICTURES, Limits
from unifex.ui.server.workspaces import Workspaces

MANY = 60  # more than there are threads for all of a server's answers


@pytest.fixture
def app(gallery) -> FastAPI:
    context = SimpleNamespace(settings=SimpleNamespace(public=True), gallery=lambda name: gallery)
    app = FastAPI(routes=[*item_routes(context), *neighbour_routes(context)])
    app.auth = app.auth_dependency = None
    return app


@pytest.fixture
def held(monkeypatch) -> threading.Event:
    """No large picture and no search is ready before it is set."""
    go, decode = threading.Event(), images.decode
    monkeypatch.setattr(images, "decode", lambda *a, **k: go.wait(60) and decode(*a, **k))
    monkeypatch.setattr("unifex.ui.neighbour_routes.search", lambda *a: go.wait(60) and SimpleNamespace(hits=[]))
    return go


def client(app, cookies=None) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", cookies=cookies)


@pytest.mark.parametrize("kind", [PREVIEW, PIXELS, ALIKE])
def test_who_waits_for_a_large_picture_keeps_nobody_from_a_small_one(app, gallery, held, kind):
    record = gallery.records(gallery.snapshot().columns.ids)[0]

    async def ask():
        async with client(app) as http:
            waiting = [asyncio.create_task(http.get(f"/{address(kind, 'drawn', record)}")) for _ in range(MANY)]
            await asyncio.sleep(0)
            try:
                small = await asyncio.wait_for(http.get(f"/{address(THUMBNAIL, 'drawn', record)}"), 30)
            finally:
                held.set()
            return small, await asyncio.gather(*waiting)

    small, large = asyncio.run(ask())
    assert {answer.status_code for answer in (small, *large)} == {200}


def test_one_visitor_has_a_few_waiting_and_another_one_is_answered(app, gallery, held, tmp_path):
    limits = Limits(images=10, bytes=10**6, trainings=1, training_seconds=60, seconds=3600)
    workspaces = Workspaces(Library(tmp_path / "own"), limits, lambda owner: None)
    workspaces.begin()
    guarded, record = Guard(app, workspaces, rate=1000), gallery.records(gallery.snapshot().columns.ids)[0]
    large, thumb = (f"/{address(kind, 'drawn', record)}" for kind in (PIXELS, THUMBNAIL))

    async def ask():
        async with client(guarded) as anna, client(guarded) as ben:
            for http in (anna, ben):
                http.cookies.set(COOKIE, workspaces.new_token())
            waiting = [asyncio.create_task(anna.get(large)) for _ in range(MANY)]
            await asyncio.sleep(0)
            another = asyncio.create_task(ben.get(large))
            small = await asyncio.wait_for(anna.get(thumb), 30)
            held.set()
            answers = await asyncio.gather(*waiting)
            return answers, await another, small, await anna.get(large)

    answers, *others = asyncio.run(ask())
    assert [answer.status_code for answer in answers].count(200) == MAX_PICTURES
    assert {answer.json()["detail"] for answer in answers if answer.status_code == 429} == {
        "enough pictures of yours are being made; wait for one"
    }
    assert [answer.status_code for answer in others] == [200, 200, 200]
