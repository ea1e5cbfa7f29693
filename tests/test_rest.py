"""``/api/v1`` of a real server: what its OpenAPI document promises, whoever asks for whatever."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import time
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.drawing import encoded, picture, png_header, write_folder
from tests.support.galleries import run_index
from tests.support.serving import ROOT, serve
from tests.support.visiting import Visitor
from unifex.core.regions import Region
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.retrieval.suggestions import suggest
from unifex.ui.rest import resources
from unifex.ui.rest.api import RestFace, rest_api

PROBLEM = "application/problem+json"
CROSS = encoded(picture("signs/cross", 3))
HALF = CROSS[: len(CROSS) // 2]
CROSS_JPEG = encoded(picture("signs/cross", 3), "JPEG")
SEARCH = "/galleries/drawn/search"
PNG = {"content": CROSS, "headers": {"content-type": "image/png"}}


@pytest.fixture(scope="module")
def base(tmp_path_factory, embedder):
    base = tmp_path_factory.mktemp("rest")
    run_index(Gallery.create(base / "indexes" / "drawn", embedder), write_folder(base / "pictures"))
    (base / "indexes/broken").mkdir()
    (base / "indexes/broken/gallery.json").write_text("{")
    return base


@pytest.fixture(scope="module")
def local(base):
    with serve(base / "indexes") as running, httpx.Client(base_url=f"{running.url}api/v1", timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def public(base):
    with (
        serve(base / "indexes", "--public", "--rate", "2000", log=base / "public.log") as running,
        httpx.Client(base_url=f"{running.url}api/v1", timeout=60) as http,
    ):
        yield http


@pytest.fixture
def drawn(base):
    return Gallery.open(base / "indexes" / "drawn")


def found(answer: httpx.Response) -> list[tuple[int, float]]:
    return [(hit["item"]["id"], hit["score"]) for hit in answer.raise_for_status().json()["hits"]]


def expected(gallery: Gallery, *asked, **how) -> list[tuple[int, object]]:
    """To be equal to what was :func:`found`: by another process, whose threads may sum in another order."""
    return [(hit.record.id, pytest.approx(hit.score, abs=2e-6)) for hit in search(gallery, *asked, **how).hits]


@pytest.mark.parametrize("whose", ["local", "public"])
def test_answers_are_as_described_whatever_is_sent(whose, request, base):
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.specs.openapi import checks

    schemathesis.openapi.media_type("image/*", st.sampled_from([CROSS, HALF, b""]) | st.binary(max_size=64))
    http = request.getfixturevalue(whose)
    schema = schemathesis.openapi.from_dict(http.get("/openapi.json").json())
    schema.config.update(base_url=str(http.base_url).rstrip("/"))
    promised = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    operations = [operation.ok() for operation in schema.get_all_operations()]
    assert len(operations) == (9 if whose == "local" else 8)
    for operation in operations:

        @settings(
            max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(operation.as_strategy(), st.booleans(), st.integers(1, 30))
        def holds(case, there, item):
            if there and "gallery" in (case.path_parameters or {}):
                case.path_parameters["gallery"] = "drawn"
            if there and "item" in (case.path_parameters or {}):
                case.path_parameters["item"] = item
            if isinstance(case.body, dict) and "folder" in case.body:
                case.body["folder"] = str(base / "nowhere")  # any other might be there
            if case.media_type == "application/json" and there:
                case.query = {}  # what JSON says is not said in the address
            case.call_and_validate(checks=promised, session=None)

        holds()


def test_pages_give_every_item_once_in_every_order(local, drawn):
    for order in ("", "newest", "label", "path"):
        seen, offset, asked = [], 0, 0
        while offset is not None:
            page = local.get("/galleries/drawn/items", params={"limit": 7, "offset": offset, "order": order}).json()
            seen, offset, asked = [*seen, *page["items"]], page["next"], asked + 1
            assert page["total"] == 24
        assert (asked, len({item["id"] for item in seen}), len(seen)) == (4, 24, 24)
    assert [item["path"] for item in seen] == sorted(item["path"] for item in seen)
    assert local.get("/galleries/drawn/items", params={"offset": 24}).json() == {
        "total": 24,
        "next": None,
        "items": [],
    }


def test_items_are_filtered_and_looked_at(local, base):
    asked = {"label": ["cross", "disc"], "domain": "signs", "folder": "signs/cross"}
    listed = local.get("/galleries/drawn/items", params=asked).json()["items"]
    assert {(item["label"], item["domain"]) for item in listed} == {("cross", "signs")}
    item = local.get(f"/galleries/drawn/items/{listed[0]['id']}").json()
    assert item == listed[0]
    assert item["uri"].startswith(str(base))
    thumb = local.get(f"/galleries/drawn/items/{item['id']}/thumb")
    assert (thumb.headers["content-type"], thumb.content[:2]) == ("image/jpeg", b"\xff\xd8")
    galleries = local.get("/galleries", params={"limit": 1, "offset": 1}).json()
    assert (galleries["total"], galleries["galleries"]) == (2, [local.get("/galleries/drawn").json()])
    assert local.get("/galleries").json()["galleries"][0]["problem"]


def test_searches_find_what_search_finds(local, drawn):
    first, other, *_ = drawn.snapshot().columns.ids.tolist()
    by_item = local.post("/galleries/drawn/search", json={"items": [first], "k": 5})
    assert found(by_item) == expected(drawn, Query(items=(first,)), 5)
    by_words = local.post("/galleries/drawn/search", json={"words": "cross", "filters": {"domain": ["signs"]}})
    assert found(by_words) == expected(drawn, Query(text="cross"), 10, Filters(domains=("signs",)))
    marked = local.post("/galleries/drawn/search", json={"more": [first], "less": [other], "dim": 64})
    assert found(marked) == expected(drawn, Query(more=(first,), less=(other,)), 10, dim=64)
    by_image = local.post("/galleries/drawn/search", files={"image": CROSS})
    assert found(by_image) == expected(drawn, [CROSS])
    assert by_image.json()["hits"][0]["item"]["path"] == "signs/cross/3.png"
    box = {"x": 0.25, "y": 0.1, "w": 0.75, "h": 0.8}
    part = json.dumps({"regions": [box], "k": 3})
    by_part = local.post("/galleries/drawn/search", files={"image": CROSS}, data={"query": part})
    assert len(found(by_part)) == 3
    assert found(by_part) != found(by_image)[:3]


def test_an_image_is_sent_as_it_is(local, drawn):
    said = {"k": 3, "label": "cross", "domain": "signs", "box": "0.25,0.1,0.75,0.8"}
    part = Query(images=(CROSS,), regions=(Region(0.25, 0.1, 0.75, 0.8),))
    wanted = expected(drawn, part, 3, Filters(domains=("signs",), labels=("cross",)))
    for sent in ({"content": CROSS, "headers": {"content-type": "image/png"}}, {"files": {"image": CROSS}}):
        assert found(local.post(SEARCH, params=said, **sent)) == wanted
    told = {"content-type": "Image/JPEG; charset=binary"}
    assert found(local.post(SEARCH, content=CROSS_JPEG, headers=told)) == expected(drawn, [CROSS_JPEG])


def test_hits_come_in_pages(local, drawn):
    wanted, seen, offset = expected(drawn, [CROSS], 1000), [], 0
    while offset is not None:
        answer = local.post(SEARCH, params={"k": 10, "offset": offset}, **PNG).raise_for_status().json()
        seen, offset = [*seen, *answer["hits"]], answer["next"]
    assert [hit["rank"] for hit in seen] == list(range(1, len(wanted) + 1))
    assert [(hit["item"]["id"], hit["score"]) for hit in seen] == wanted
    last = local.post(SEARCH, json={"items": [1], "k": 1000, "offset": 999}).json()
    assert (last["hits"], last["next"]) == ([], None)


def test_what_the_documentation_sends_finds_something(local, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs/rest.md").read_text().replace("/holiday/", "/drawn/")
    for ours, theirs in (("=beach", "=signs"), ('["beach"]', '["signs"]'), ('["sea", "sand"]', '["cross", "disc"]')):
        assert ours in text
        text = text.replace(ours, theirs)
    (tmp_path / "photo.jpg").write_bytes(CROSS_JPEG)
    monkeypatch.chdir(tmp_path)
    api = str(local.base_url).rstrip("/")
    exec(re.search(r"```python\n(.*?)```", text, re.S)[1], {"api": api})
    assert "signs/cross/3.png" in capsys.readouterr().out
    if shutil.which("curl"):
        lines = [line.replace("[12]", "[2]").replace("[40]", "[3]") for line in text.splitlines() if "/search" in line]
        lines = [line.strip() for line in lines if line.startswith("    curl ")]
        assert len(lines) == 4
        for line in lines:
            done = subprocess.run(["sh", "-c", line], env={**os.environ, "api": api}, capture_output=True, check=True)
            assert json.loads(done.stdout)["hits"], line


def test_near_copies_are_folded(local, drawn):
    folded = search(drawn, [CROSS], 5, fold="alike").hits
    said = {"k": 5, "fold": True, "level": "alike"}
    for sent in ({**PNG, "params": said}, {"files": {"image": CROSS}, "data": {"query": json.dumps(said)}}):
        hits = local.post(SEARCH, **sent).raise_for_status().json()["hits"]
        assert [(hit["item"]["id"], hit["copies"]) for hit in hits] == [
            (hit.record.id, len(hit.copies)) for hit in folded
        ]
    assert local.post(SEARCH, **PNG).json()["hits"][0]["copies"] is None


def test_the_part_that_is_found_is_searched_with_and_told(local, drawn):
    screen = Image.new("RGB", (800, 600), "white")
    screen.paste(picture("signs/cross", 3).resize((200, 200)), (550, 350))
    data = encoded(screen)
    part = suggest(drawn, data, search(drawn, [data], 5), 5)
    answer = local.post(SEARCH, params={"k": 5, "box": "auto"}, content=data, headers=PNG["headers"])
    assert found(answer) == [(hit.record.id, round(hit.score, 6)) for hit in part.result.hits]
    assert answer.json()["hits"][0]["item"]["path"] == "signs/cross/3.png"
    assert str(Region(**answer.json()["box"])) == str(part.region)
    plain = local.post(SEARCH, json={"items": [1], "auto_box": True})
    assert (found(plain), plain.json()["box"]) == (expected(drawn, Query(items=(1,))), None)


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/galleries/none", {}, 404, "no_such_gallery"),
        ("GET", "/galleries/..%5cdrawn", {}, 404, "no_such_gallery"),
        ("GET", "/galleries/broken", {}, 409, "gallery_unusable"),
        ("GET", "/galleries/drawn/items/999", {}, 404, "no_such_item"),
        ("GET", "/galleries/drawn/items/999/thumb", {}, 404, "no_such_item"),
        ("GET", "/galleries/drawn/items/x", {}, 422, "invalid_request"),
        ("GET", "/galleries/drawn/items?limit=0", {}, 422, "invalid_request"),
        ("GET", "/galleries/drawn/items?colour=red", {}, 422, "invalid_request"),
        ("GET", "/galleries/drawn/items?label=none", {}, 422, "cannot_be_done"),
        ("GET", "/galleries/drawn/items?order=none", {}, 422, "cannot_be_done"),
        ("GET", "/galleries/drawn/items?where=x", {}, 422, "cannot_be_done"),
        ("GET", "/nothing", {}, 404, "not_found"),
        ("DELETE", "/galleries", {}, 405, "method_not_allowed"),
        ("DELETE", "/jobs/none", {}, 404, "no_such_job"),
        ("POST", "/jobs", {"json": {"folder": "/no/such"}}, 422, "cannot_be_done"),
        ("POST", "/jobs", {"json": {"folder": "\0"}}, 422, "cannot_be_done"),
        ("POST", "/jobs", {"json": {"folder": 1}}, 422, "invalid_request"),
        ("POST", "/galleries/drawn/search", {"json": {}}, 422, "cannot_be_done"),
        ("POST", "/galleries/drawn/search", {"json": {"items": ["1"]}}, 422, "invalid_request"),
        ("POST", "/galleries/drawn/search", {"json": {"items": [1], "k": 0}}, 422, "invalid_request"),
        ("POST", "/galleries/drawn/search", {"json": {"items": [1], "dim": 65536}}, 422, "no_such_dimension"),
        ("POST", "/galleries/drawn/search", {"json": {"item": [1]}}, 422, "invalid_request"),
        ("POST", "/galleries/drawn/search", {"content": "words"}, 415, "unsupported_media_type"),
        ("POST", SEARCH, {"content": CROSS, "headers": {"content-type": "text/plain"}}, 415, "unsupported_media_type"),
        ("POST", SEARCH, {**PNG, "content": HALF}, 422, "not_an_image"),
        ("POST", SEARCH, {**PNG, "content": b""}, 422, "not_an_image"),
        ("POST", SEARCH, {**PNG, "content": png_header(30_000, 30_000)}, 422, "not_an_image"),
        ("POST", "/galleries/none/search", PNG, 404, "no_such_gallery"),
        ("POST", f"{SEARCH}?k=1001", PNG, 422, "invalid_request"),
        ("POST", f"{SEARCH}?offset=1000", PNG, 422, "invalid_request"),
        ("POST", f"{SEARCH}?colour=red", PNG, 422, "invalid_request"),
        ("POST", f"{SEARCH}?level=none", PNG, 422, "invalid_request"),
        ("POST", f"{SEARCH}?box=0,0,1", PNG, 422, "cannot_be_done"),
        ("POST", f"{SEARCH}?box=0.5,0,0.6,1", PNG, 422, "cannot_be_done"),
        ("POST", f"{SEARCH}?k=3", {"json": {"items": [1]}}, 422, "invalid_request"),
        ("POST", f"{SEARCH}?box=auto&words=cross", PNG, 422, "invalid_request"),
        ("POST", SEARCH, {"json": {"items": [1, 2], "auto_box": True}}, 422, "invalid_request"),
        (
            "POST", "/galleries/drawn/search", {"content": "{", "headers": {"content-type": "application/json"}},
            422, "invalid_request",
        ),
        ("POST", "/galleries/drawn/search", {"files": {"image": b"no picture"}}, 422, "not_an_image"),
        ("POST", "/galleries/drawn/search", {"files": {"query": b"{}"}}, 422, "invalid_request"),
        ("POST", "/galleries/drawn/search", {"files": {"other": b"{}"}}, 422, "invalid_request"),
        ("POST", "/galleries/drawn/search", {"files": [("image", CROSS)] * 17}, 400, "bad_request"),
        ("GET", "/galleries", {"headers": {"origin": "https://evil.example"}}, 403, "forbidden"),
    ],
)  # fmt: skip
def test_every_refusal_has_a_code(local, method, path, sent, status, code):
    answer = local.request(method, path, **sent)
    told = answer.json()
    assert (answer.status_code, told["status"], told["code"]) == (status, status, code), told
    assert answer.headers["content-type"] == PROBLEM
    assert told["title"]
    assert 5 < len(told["detail"]) < 1000


def test_a_folder_is_indexed_as_a_job(local, base):
    write_folder(base / "more", views=1)
    begun = local.post("/jobs", json={"folder": str(base / "more"), "gallery": "more"})
    assert begun.status_code == 202
    job = begun.json()
    while job["state"] in ("waiting", "running"):
        time.sleep(0.05)
        job = next(one for one in local.get("/jobs").json()["jobs"] if one["id"] == job["id"])
    assert (job["state"], job["name"], job["problem"]) == ("done", "more", "")
    assert local.get("/galleries/more").json()["items"] == 4
    assert local.delete(f"/jobs/{job['id']}").json() == job


def test_a_gallery_of_a_name_that_another_had_is_listed_as_itself(local, base):
    def crosses(*labels: str) -> list[str]:
        folder = base / "-".join(labels)
        for view, label in enumerate(labels):
            (folder / label).mkdir(parents=True, exist_ok=True)
            (folder / label / f"{view}.png").write_bytes(encoded(picture("signs/cross", view)))
        job = local.post("/jobs", json={"folder": str(folder), "gallery": "twice"}).raise_for_status().json()
        while job["state"] in ("waiting", "running"):
            time.sleep(0.05)
            job = next(one for one in local.get("/jobs").json()["jobs"] if one["id"] == job["id"])
        answer = local.get("/galleries/twice/items", params={"label": "cross", "order": "path"})
        return [item["path"] for item in answer.raise_for_status().json()["items"]]

    assert crosses("cross", "cross", "disc") == ["cross/0.png", "cross/1.png"]
    Library(base / "indexes").delete("twice")
    assert crosses("disc", "disc", "cross") == ["cross/2.png"]
    Library(base / "indexes").delete("twice")


def test_the_page_of_docs_needs_nothing_from_elsewhere(local):
    page = local.get(str(local.base_url).replace("/api/v1/", "/docs"))
    assert all(f"<code>POST {path}" in page.text for path in ("/galleries/{gallery}/search", "/jobs"))
    assert "src=" not in page.text
    assert "//" not in page.text


# --- a public server ---------------------------------------------------------------------------------------------


def test_strangers_are_told_no_place_and_start_nothing(public, base):
    (listed,) = [one for one in public.get("/galleries").json()["galleries"] if one["name"] == "drawn"]
    assert listed["items"] == 24
    answers = [
        public.get("/galleries/drawn/items"),
        public.get("/galleries/drawn/items/1"),
        public.post("/galleries/drawn/search", files={"image": CROSS}),
    ]
    assert answers[2].json()["hits"][0]["item"]["path"] == "signs/cross/3.png"
    assert public.get("/galleries/drawn/items/1/thumb").content[:2] == b"\xff\xd8"
    assert not any(str(base) in answer.raise_for_status().text for answer in answers)
    refused = public.get(str(public.base_url).replace("/api/v1/", "/docs"))
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    refused = public.post("/jobs", json={"folder": str(base / "pictures")})
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert "post" not in public.get("/openapi.json").json()["paths"]["/jobs"]
    for further in (
        public.get("/galleries/drawn/items", params={"where": "a=b"}),
        public.get("/galleries/drawn/items", params={"order": "+a"}),
        public.post("/galleries/drawn/search", json={"items": [1], "filters": {"where": ["a=b"]}}),
    ):
        assert further.status_code == 422
        assert "owner's to know" in further.json()["detail"]


@pytest.mark.parametrize("path", ["/galleries", "/galleries/drawn", "/galleries/drawn/items/1/thumb", "/jobs"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "DELETE"])
def test_a_method_that_an_address_does_not_take_is_told_so_by_every_server(local, public, path, method):
    for http in (local, public):
        refused = http.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
        assert "GET" in refused.headers["allow"]
    assert public.request(method, "/nothing").status_code == 404
    assert public.post("/galleries/drawn/search/", json={}).status_code == 404
    only = public.get("/galleries/drawn/search")
    assert (only.status_code, only.headers["allow"]) == (405, "POST")


def test_galleries_and_jobs_are_ones_own(public):
    visitor = Visitor(str(public.base_url).replace("api/v1/", ""))
    visitor.index("mine", {f"cross/{n}.png": encoded(picture("signs/cross", n)) for n in (1, 2)})
    api = "/api/v1"
    (job,) = visitor.http.get(f"{api}/jobs").json()["jobs"]
    assert (job["kind"], job["name"], job["state"]) == ("index", "mine", "done")
    assert visitor.http.get(f"{api}/galleries/mine").json()["items"] == 2
    assert public.get("/jobs").json()["jobs"] == []
    assert public.get("/galleries/mine").status_code == 404
    assert public.delete(f"/jobs/{job['id']}").json()["code"] == "no_such_job"


def test_an_image_of_a_stranger_leaves_nothing_behind(public, base):
    def there():
        return sorted(path for path in base.rglob("*") if path.is_file() and path.suffix != ".log")

    before = there()
    hit = public.post(SEARCH, params={"k": 1}, **PNG).raise_for_status().json()["hits"][0]["item"]
    assert (hit["path"], hit["uri"]) == ("signs/cross/3.png", "")
    assert found(public.post(SEARCH, params={"k": 1, "box": "0,0,1,1"}, files={"image": CROSS}))
    assert there() == before
    for dear in ({"box": "auto"}, {"fold": "true"}):
        refused = public.post(SEARCH, params=dear, **PNG)
        assert (refused.status_code, refused.json()["code"]) == (422, "cannot_be_done")
        assert "run UniFEx yourself" in refused.json()["detail"]


def test_an_upload_that_breaks_off_is_no_search(public):
    url = public.base_url
    with socket.create_connection((url.host, url.port)) as half:
        head = f"POST {url.path.rstrip('/')}{SEARCH} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n"
        half.sendall(f"{head}Content-Type: image/png\r\nContent-Length: {len(CROSS)}\r\n\r\n".encode() + HALF)
    assert found(public.post(SEARCH, **PNG))  # and the server's log holds no exception


def test_what_strangers_send_has_a_limit(public):
    much = b"x" * (5 * 2**20)
    for how in ({"files": {"image": much}}, {"json": {"words": "x" * len(much)}}, {**PNG, "content": much}):
        refused = public.post("/galleries/drawn/search", **how)
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
        assert refused.headers["content-type"] == PROBLEM


def test_where_a_password_is_asked_for_it_is_asked_here():
    async def app(scope, receive, send):
        scope["app"] = SimpleNamespace(auth={"me": "secret"}, cookie_id="x", tokens={"t": "me"})
        await RestFace(rest_api(SimpleNamespace(settings=SimpleNamespace(public=False, read_only=True))))(
            scope, receive, send
        )

    async def ask(cookies):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a", cookies=cookies) as http:
            return await http.get("/openapi.json")

    refused = asyncio.run(ask({}))
    assert (refused.status_code, refused.json()["code"]) == (401, "login_required")
    scheme = refused.headers["www-authenticate"].split()[0]
    assert scheme not in ("Basic", "Digest", "Negotiate", "NTLM")  # for which browsers open a box of their own
    assert "post" not in asyncio.run(ask({"access-token-x": "t"})).json()["paths"]["/jobs"]  # it is read-only


def test_on_ones_own_computer_too_no_image_has_any_size(monkeypatch):
    monkeypatch.setattr(resources, "MAX_BYTES", len(CROSS) - 1)
    api = rest_api(SimpleNamespace(settings=SimpleNamespace(public=False, read_only=True)))

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://a") as http:
            return await http.post(SEARCH, **PNG)

    refused = asyncio.run(ask())
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("taken_away", [True, False])
@pytest.mark.parametrize("root", ["/api", "/api/v1", "/pictures"])
def test_it_is_below_whatever_path_a_proxy_has_the_page(base, root, taken_away):
    """Also one with which its own begins, which the proxy takes away or leaves."""
    with serve(base / "indexes", environment={"GRADIO_ROOT_PATH": root}) as running:
        asked = f"{running.url}{'' if taken_away else root[1:] + '/'}api/v1"
        assert httpx.get(f"{asked}/galleries/drawn").raise_for_status().json()["name"] == "drawn"
        assert httpx.get(f"{asked}/openapi.json").json()["servers"] == [{"url": f"{root}/api/v1"}]
        assert httpx.get(f"{asked}/galleries/nosuch").json()["code"] == "no_such_gallery"
