"""Attacks on a public server, as raw as a stranger can make them; each has succeeded once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import socket
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from tests.support.visiting import Visitor, as_file, search
from unifex.gallery.gallery import Gallery
from unifex.ui.server.file_addresses import Naming
from unifex.ui.server.picture_addresses import (
    ALIKE,
    FACETS,
    IDS,
    ITEMS,
    LABELS,
    PIXELS,
    PREVIEW,
    TAGS,
    THUMBNAIL,
    address,
)
from unifex.ui.server.rates import Refusal
from unifex.ui.server.visitor_files import VisitorFiles
from unifex.ui.server.workspaces import VISITORS

CROSS = encoded(picture("signs/cross", 1))
# A model that fits into so few megabytes when it is packed.
LIMITS = "--visitor-images 20 --visitor-megabytes 2 --visitor-trainings 1 --rate 100000 --model unifex-lite"


@pytest.fixture(scope="module")
def base(tmp_path_factory, embedder) -> Path:
    base = tmp_path_factory.mktemp("attacks")
    run_index(Gallery.create(base / "indexes" / "drawn", embedder), write_folder(base / "pictures"))
    return base


@pytest.fixture(scope="module")
def server(base):
    with serve(base / "indexes", "--public", *LIMITS.split(), expect_clean_log=False) as running:
        yield running


@pytest.fixture
def anna(server):
    return Visitor(server.url)


@pytest.fixture
def mallory(server):
    return Visitor(server.url)


def pack(visitor: Visitor, gallery: str) -> list:
    """Pack with the images; notice and download."""
    visitor.press("pack-button", {"manage-gallery": gallery, "pack-images": True})
    return visitor.outcome("pack", "pack-progress", gallery)


def visitors_files(server: Server) -> list[Path]:
    return [path for path in (server.indexes / VISITORS / ".files").rglob("*") if path.is_file()]


def on_disk(folder: Path) -> int:
    return sum(max(path.stat().st_blocks * 512, 4096) for path in folder.rglob("*"))


def numbered(count: int) -> dict[str, bytes]:
    return {f"a/cross/{n}.png": encoded(picture("signs/cross", 200 + n)) for n in range(count)}


# --- what a page needs ---------------------------------------------------------------------------------------------


def test_what_a_page_asks_for_by_itself_is_open_to_visitors(anna):
    item = anna.http.get(f"/{ITEMS}/drawn").json()["items"][0]
    of_a_picture = {PIXELS: f"?v={item['v']}", THUMBNAIL: f"?v={item['v']}", PREVIEW: f"?v={item['v']}", ALIKE: ""}
    pages = [f"/{kind}/drawn" for kind in (ITEMS, IDS, TAGS, FACETS, LABELS)]
    for path in [*pages, *(f"/{kind}/drawn/{item['id']}{asked}" for kind, asked in of_a_picture.items())]:
        assert anna.http.get(path).status_code == 200, path


# --- the event loop ------------------------------------------------------------------------------------------------


LONG = {
    "slashes": ["/" * 10**6],
    "up and down": ["a/../" * 200_000],
    "dots": ["/" + "./" * 10**6],
    "up": ["../" * 10**6 + "etc/passwd"],
    "many": [f"/tmp/{n}" for n in range(90_000)],
    "addresses": ["/unifex-files/" * 100_000],
    "backslashes": ["\\" * 10**6],
}


@pytest.mark.parametrize("texts", LONG.values(), ids=LONG)
def test_texts_that_look_like_paths_are_not_looked_for(mallory, anna, texts, monkeypatch, tmp_path):
    asked = {"data": texts, "fn_index": 0, "session_hash": mallory.session}
    answer = mallory.http.post("/gradio_api/queue/join", json=asked)
    assert answer.status_code == (200 if texts == LONG["many"] else 403), answer.text
    assert anna.http.get("/gradio_api/app_id").is_success
    looked: list[object] = []
    for name in ("stat", "lstat", "readlink"):
        monkeypatch.setattr(os, name, looked.append)
    with contextlib.suppress(Refusal):
        Naming(VisitorFiles(tmp_path, 0, 0, 0), "nobody").of({"data": texts})
    assert looked == []


def test_a_request_holds_so_many_texts(mallory):
    asked = {"data": ["x"] * 100_001, "fn_index": 0, "session_hash": mallory.session}
    assert mallory.http.post("/gradio_api/queue/join", json=asked).status_code == 413
    deep: list = []
    for _ in range(100):
        deep = [deep]
    asked = {"data": deep, "fn_index": 0, "session_hash": mallory.session}
    assert mallory.http.post("/gradio_api/queue/join", json=asked).status_code == 400


# --- what one visitor may take -------------------------------------------------------------------------------------


def test_six_tabs_at_once_keep_no_more_than_one(server):
    greedy = Visitor(server.url)
    tabs = [Visitor(server.url, token=greedy.http.cookies["unifex_visitor"]) for _ in range(6)]
    files = [
        {f"a/cross/{tab}-{n}.png": encoded(picture("signs/cross", 1000 + 20 * tab + n, 40)) for n in range(12)}
        for tab in range(6)
    ]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda tab: tabs[tab].index(f"g{tab}", files[tab]), range(6)))
    greedy.outcome("index", "index-progress")
    kept = [one["items"] for one in greedy.call("galleries")["galleries"] if one["name"] != "drawn"]
    assert sum(kept) == 20


def chunked(url: str, body: bytes, *headers: str, cookie: str = "") -> bytes:
    """A raw upload in chunks, with whatever headers; what the server answers."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as line:
        head = ["POST /gradio_api/upload HTTP/1.1", f"Host: {parts.netloc}", "Transfer-Encoding: chunked",
                "Content-Type: multipart/form-data; boundary=X",
                f"Cookie: unifex_visitor={cookie}", *headers]  # fmt: skip
        line.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        try:
            for start in range(0, len(body), 1 << 16):
                part = body[start : start + (1 << 16)]
                line.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            line.sendall(b"0\r\n\r\n")
        except OSError:  # it has had enough
            pass
        return line.recv(1 << 16)


def form(*files: tuple[str, bytes]) -> bytes:
    parts = [b'--X\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), data)
             for name, data in files]  # fmt: skip
    return b"".join(parts) + b"--X--\r\n"


def test_bytes_count_where_they_arrive(mallory, server):
    before = visitors_files(server)
    cookie = mallory.http.cookies["unifex_visitor"]
    large = form(("x.bin", bytes(30_000_000)))
    for headers in ((), ("Content-Length: 10",)):
        answer = chunked(server.url, large, *headers, cookie=cookie)
        assert not answer.startswith(b"HTTP/1.1 200"), answer
    halves = form(*((f"{n}.bin", bytes(900_000)) for n in range(6)))  # each small enough, not all together
    assert chunked(server.url, halves, cookie=cookie).split()[1] in (b"413", b"429")
    assert visitors_files(server) == before
    other = Visitor(server.url).http.cookies["unifex_visitor"]
    assert chunked(server.url, form(("y.bin", bytes(10_000))), cookie=other).startswith(b"HTTP/1.1 200")


def test_many_tiny_files_count_as_the_blocks_they_take(mallory, server):
    folder = server.indexes / VISITORS / ".files"
    before = on_disk(folder)
    tiny = form(*((f"{n}.png", b"") for n in range(900)))
    answer = chunked(server.url, tiny, cookie=mallory.http.cookies["unifex_visitor"])
    assert answer.split()[1] in (b"413", b"429")
    sent = 0
    for _ in range(600):
        sent += mallory.http.post("/gradio_api/upload", files={"files": ("x.png", b"x")}).is_success
    assert sent < 600
    assert on_disk(folder) - before <= 4_000_000


def test_parts_that_are_no_files_are_not_taken(mallory):
    body = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + bytes(100_000) + b"\r\n--X--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=X"}
    assert mallory.http.post("/gradio_api/upload", content=body, headers=headers).status_code == 400
    for kind in ("application/json", "multipart/form-data", "text/plain"):
        answer = mallory.http.post("/gradio_api/upload", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 400, kind


def test_what_is_packed_again_and_again_is_not_all_kept(server):
    visitor = Visitor(server.url)
    visitor.index("mine", numbered(20))
    for _ in range(6):
        given = pack(visitor, "mine")
    (made,) = [path for path in visitors_files(server) if "/made/" in str(path)]  # one is more than there may be
    size = made.stat().st_size
    address = next(value["value"]["path"] for value in given if isinstance(value, dict) and value.get("value"))
    answers = [visitor.http.get(f"/gradio_api/file={address}").status_code for _ in range(8_000_000 // size + 2)]
    assert answers[0] == 200
    assert answers[-1] == 429
    assert Visitor(server.url).http.get(f"/gradio_api/file={address}").status_code == 403


def test_one_visitors_turns_in_the_queue_are_few(mallory, anna, server):
    endpoint = next(one["id"] for one in mallory.config["dependencies"] if one["api_name"] == "evaluate")
    asked = {"data": ["drawn", "auto", 0, False, False], "fn_index": endpoint, "session_hash": mallory.session}

    def ask(number: int) -> int:
        return mallory.http.post("/gradio_api/queue/join", json=asked).status_code

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(120)))
    assert 429 in answers
    assert anna.call("galleries")
    large = {**asked, "data": ["x" * 3_000_000]}
    statuses = [anna.http.post("/gradio_api/queue/join", json={**large, "session_hash": anna.session}).status_code
                for _ in range(2)]  # fmt: skip
    assert statuses[0] in (200, 429)
    assert Visitor(server.url).http.post("/gradio_api/queue/join", content=bytes(5_000_000)).status_code == 413


def test_looking_has_a_rate_of_its_own(tmp_path, base):
    shutil.copytree(base / "indexes" / "drawn", tmp_path / "indexes" / "drawn")
    with serve(tmp_path / "indexes", "--public", "--rate", "20") as running:
        visitor = Visitor(running.url)
        answers = [visitor.http.get("/gradio_api/app_id").status_code for _ in range(100)]
        assert answers[:50] == [200] * 50
        assert answers[-1] == 429
        forwarded = {"X-Forwarded-For": "203.0.113.9"}  # from nobody whom this server trusts
        assert Visitor(running.url).http.get("/config", headers=forwarded).status_code == 200
        context = httpx.create_ssl_context(verify=False)  # made once; every request is a stranger's without a cookie
        first = [
            httpx.get(f"{running.url}gradio_api/app_id", headers={"X-Forwarded-For": f"203.0.113.{n}"}, verify=context)
            for n in range(100)
        ]
        assert first[-1].status_code == 429


def test_large_pictures_and_neighbours_are_counted_as_searches_are(tmp_path, base):
    shutil.copytree(base / "indexes" / "drawn", tmp_path / "indexes" / "drawn")
    records = (gallery := Gallery.open(tmp_path / "indexes" / "drawn")).records(gallery.snapshot().columns.ids)
    addresses = [f"/{address(PIXELS, 'drawn', record)}" for record in records]
    with serve(tmp_path / "indexes", "--public", "--rate", "20") as running:
        for asked in (addresses, [f"/{ALIKE}/drawn/{record.id}" for record in records]):
            visitor = Visitor(running.url)
            answers = [visitor.http.get(address_) for address_ in asked]
            assert [answer.status_code for answer in answers] == [200] * 20 + [429] * (len(records) - 20)
            assert answers[-1].json()["detail"] == "more than 20 requests a minute; wait a moment"
        thumbnail = address(THUMBNAIL, "drawn", records[0])
        assert visitor.http.get(f"/{thumbnail}").status_code == 200  # what the page itself shows goes on


# --- names that are another's --------------------------------------------------------------------------------------


def test_an_answer_is_for_whoever_asked(anna, mallory, server):
    asked = {"data": [], "session_hash": anna.session}
    event = anna.http.post("/gradio_api/call/galleries", json=asked).json()["event_id"]
    for name in (anna.session, event, f"{anna.session[:3]}{anna.session[3:]}", "0" * 12):
        for version in ("", "v2/"):
            assert mallory.http.get(f"/gradio_api/call/{version}galleries/{name}").status_code == 403, name
    assert mallory.http.get(f"/gradio_api/queue/data?session_hash=x&session_hash={anna.session}").status_code == 403
    assert mallory.http.get(f"/gradio_api/queue/data?session%5Fhash={anna.session}").status_code == 403
    own = mallory.session
    for body in (
        {"session_hash": own, "fn_index": 0, "event_id": event},
        {"session_hash": anna.session, "fn_index": 0, "event_id": None},
        {"session_hash": 7, "fn_index": 0, "event_id": event},
        {"session_hash": anna.session + "\0", "fn_index": 0, "event_id": "x"},
        {"session_hash": "x" * 300, "fn_index": 0, "event_id": None},
    ):
        assert mallory.http.post("/gradio_api/cancel", json=body).status_code == 403, body
    twice = f'{{"session_hash": "{own}", "fn_index": 0, "session_hash": "{anna.session}", "event_id": null}}'
    assert mallory.http.post("/gradio_api/cancel", content=twice).status_code == 403
    assert mallory.http.post("/gradio_api/component_server", json=asked | {"fn_name": "x", "component_id": 1})\
        .status_code == 403  # fmt: skip
    assert '"drawn"' in anna.http.get(f"/gradio_api/call/galleries/{event}").text


def test_how_far_an_upload_is_is_for_whoever_uploads(anna, mallory):
    files = {"files": ("secret-name.png", CROSS)}
    assert anna.http.post("/gradio_api/upload?upload_id=annas", files=files).is_success
    assert mallory.http.get("/gradio_api/upload_progress?upload_id=annas").status_code == 403
    assert mallory.http.post("/gradio_api/upload?upload_id=annas", files=files).status_code == 403
    assert anna.http.get("/gradio_api/upload_progress?upload_id=annas").is_success


def spellings(address: str) -> list[str]:
    """Other ways to write an address, or a path."""
    folder, _, name = address.rpartition("/")
    return [
        address, f"/{address}", f"{folder}/./{name}", f"{folder}/x/../{name}", f"{folder}//{name}", f"{address}\0",
        f"{folder}/{'./' * 3000}{name}", f"/{'x/../' * 1500}{address}", quote(address, safe=""), f" {address}",
        f"file://{address}", f"http://127.0.0.1/gradio_api/file={address}", address.upper(), f"{address}/",
        address.replace("/", "\\"), f"{folder}/\u2024/{name}", f"/proc/self/root{address}", f"{address}/../{name}",
        f"{folder}/{quote(name)}%00", address.replace("sent", "made"), f"~/../..{address}",
    ]  # fmt: skip


def test_anothers_upload_cannot_be_shown_searched_with_or_adopted(anna, mallory, server):
    address = anna.upload(CROSS, "secret.png")
    (real,) = [path for path in visitors_files(server) if path.name == "secret.png"]
    for way in [*spellings(address), *spellings(str(real))]:
        assert mallory.show(quote(way, safe="/%=")).status_code in (403, 404), way
        for data in (as_file(way), {**as_file(""), "url": way}, {"path": way}, {"orig_name": way, **as_file(way)}):
            with pytest.raises((httpx.HTTPStatusError, RuntimeError)):
                search(mallory, data["path"], "drawn")
        for dropped in ([[way, "stolen/x.png"]], [[way, way]]):
            with contextlib.suppress(httpx.HTTPStatusError):
                assert "cannot be used" in mallory.drop("stolen", dropped), way
    nested = json.dumps({"files": [[address, "x.png"]]})
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        mallory.drop(nested, [])
    assert real.exists()
    assert search(anna, address, "drawn")
    assert anna.show(address).status_code == 200


# --- what stays behind ---------------------------------------------------------------------------------------------


def test_uploads_and_packed_galleries_go_with_the_rest_also_after_a_restart(tmp_path, base):
    def everything() -> list[str]:
        return [str(path) for folder in ("indexes", "gradio") for path in (tmp_path / folder).rglob("*")
                if path.is_file() and path.name not in ("key", ".key-lock", ".serving")]  # fmt: skip

    shutil.copytree(base / "indexes" / "drawn", tmp_path / "indexes" / "drawn")
    before = everything()
    files = {f"a/disc/{n}.png": encoded(picture("shapes/disc", n)) for n in range(3)}
    arguments = tmp_path / "indexes", "--public"
    with serve(*arguments) as running:
        anna, bert, looker = (Visitor(running.url) for _ in range(3))
        looker.upload(CROSS, "looked.png")
        for visitor in (anna, bert):
            assert "3 images added" in visitor.index("mine", files)
            pack(visitor, "mine")
            visitor.upload(CROSS, "left.png")
            visitor.drop("later", [[visitor.upload(CROSS, "staged.png"), "staged.png"]])
    with serve(*arguments) as running:
        assert not [path for path in everything() if "looked" in path or "staged" in path]
        again = Visitor(running.url, token=anna.http.cookies["unifex_visitor"])
        assert "mine" in again.galleries()
        again.fire("delete-my-data", "click")
        left = everything()
        assert not [path for path in left if again.http.cookies["unifex_visitor"] in path]
        assert len([path for path in left if path.endswith("left.png")]) == 1  # Bert's
        other = Visitor(running.url, token=bert.http.cookies["unifex_visitor"])
        other.fire("delete-my-data", "click")
        assert [path for path in everything() if path not in before and "/drawn/" not in path] == []


# --- what is told --------------------------------------------------------------------------------------------------


def test_no_answer_tells_where_the_server_keeps_things(server, base):
    heard: list[bytes] = []
    visitor = Visitor(server.url)
    visitor.http.event_hooks["response"] = [lambda answer: heard.append(answer.read())]
    hidden = {str(base), str(Path(__file__).parent.parent), visitor_hash(server, visitor)}
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/app_id", "/manifest.json", "/plotly.js"):
        visitor.http.get(path)
    visitor.index("mine", numbered(6) | {"a/cross/bad.png": b"text", "a/b.txt": b"x"})
    visitor.index("bad", {"bad.zip": b"PK\3\4 nothing"})
    visitor.upload(b"not an image", "query.jpg")
    bad = visitor.upload(b"not an image", "query.jpg")
    for listener in visitor.config["dependencies"]:
        for value in ("mine", as_file(bad)):
            values = [value] * len(listener["inputs"])
            body = {"data": values, "fn_index": listener["id"], "session_hash": visitor.session, "event_data": {}}
            if listener["backend_fn"] and "forget" not in str(listener["api_name"]):
                with contextlib.suppress(RuntimeError, httpx.HTTPError):
                    visitor.join(body)
    for needle in hidden:
        for said in heard:
            assert needle.encode() not in said, said[:300]


def visitor_hash(server: Server, visitor: Visitor) -> str:
    files = server.indexes / VISITORS / ".files"
    before = {path.name for path in files.glob("*")}  # none where this visitor is the first
    visitor.upload(b"x", "x.png")
    (new,) = {path.name for path in files.glob("*")} - before
    return new
