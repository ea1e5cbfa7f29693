"""Whom a server answers at all, on one's own computer as in public: names, other sites' pages, guesses, proxies."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from starlette.responses import PlainTextResponse

from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.cli.settings import read_settings
from unifex.gallery.gallery import Gallery
from unifex.ui.server.door import Door, Hosts

OPEN = PlainTextResponse("in")


def answer(hosts: Hosts, **asked) -> int:
    """What the door says to one request."""
    return answers(Door(OPEN, hosts), [asked])[0]


def answers(door: Door, requests: list[dict], client: tuple[str, int] = ("203.0.113.1", 1)) -> list[int]:
    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app=door, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as browser:
            return [(await browser.request(**{"method": "GET", "url": "/", **asked})).status_code for asked in requests]

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200), ("localhost:7860", 200), ("LOCALHOST", 200), ("app.localhost:7860", 200),
        ("localhost.:7860", 200), ("[::1]:7860", 200), ("[::1]", 200), ("192.168.0.7:7860", 200), ("my.site", 200),
        ("a.my.site", 403), ("x.hf.space", 200), (socket.gethostname(), 200),
        ("evil.example:7860", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403), ("", 403),
        ("evil.example@127.0.0.1", 403), ("127.0.0.1:7860/evil", 403), ("[::1", 403), ("::1", 403), ("2130706433", 403),
        ("localhost:99999999", 403), ("hf.space.evil.example", 403), ("evilhf.space", 403), ("127.0.0.1, evil", 403),
        ("localhost evil", 403),
    ],
)  # fmt: skip
def test_a_server_answers_to_its_own_names(host, status):
    assert answer(Hosts(["0.0.0.0", ".hf.space"], ["My.Site"]), headers={"Host": host}) == status


def test_a_request_names_one_host():
    for headers in ([("Host", "localhost"), ("Host", "evil.example")], [("Host", "localhost"), ("Host", "localhost")]):
        assert answer(Hosts(), headers=headers) == 400
    assert answer(Hosts(), headers={"X-Forwarded-Host": "evil.example"}) == 403
    assert answer(Hosts(), headers={"X-Forwarded-Host": "localhost:1"}) == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:7860", "http://localhost:7860", 200), ("localhost:7860", None, 200),
        ("[::1]:7860", "http://[::1]:7860", 200), ("192.168.0.7", "http://192.168.0.7", 200),
        ("my.site", "https://my.site", 200), ("127.0.0.1:7860", "https://my.site", 200),
        ("my.site", "https://my.site:8443", 200), ("my.site:8443", "https://my.site:9443", 403),
        ("x.hf.space", "https://x.hf.space", 200), ("x.hf.space", "https://y.hf.space", 403),
        ("localhost:7860", "http://localhost:3000", 403), ("localhost:7860", "http://127.0.0.1:7860", 403),
        ("localhost:7860", "https://evil.example", 403), ("localhost:7860", "null", 403), ("localhost:7860", "", 403),
        ("localhost:7860", "http://localhost:7860@evil.example", 403), ("localhost:7860", "file://", 403),
        ("localhost:7860", "http://localhost:7860.evil.example", 403), ("localhost:7860", "http://[", 403),
    ],
)  # fmt: skip
def test_another_sites_page_neither_acts_nor_reads(host, origin, status):
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    hosts = Hosts([".hf.space"], ["my.site"])
    for method in ("GET", "POST", "PUT", "HEAD"):
        assert answer(hosts, method=method, headers=headers) == status


def test_what_a_browser_says_of_the_page_counts_too():
    far = {"Sec-Fetch-Site": "cross-site"}
    assert answer(Hosts(), headers={**far, "Sec-Fetch-Mode": "no-cors"}) == 403
    assert answer(Hosts(), headers={**far, "Sec-Fetch-Mode": "navigate"}) == 200  # a link to the page
    assert answer(Hosts(), headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}) == 200


def test_wrong_passwords_are_few_and_lock_out_nobody_else():
    async def check(scope, receive, send):
        right = dict(scope["headers"]).get(b"password") == b"right"
        await PlainTextResponse("", 200 if right else 400)(scope, receive, send)

    door = Door(check, Hosts())
    wrong, right = (
        {"method": "POST", "url": "/login"},
        {"method": "POST", "url": "/login/", "headers": {"password": "right"}},
    )
    assert answers(door, [right], ("192.0.2.1", 1)) == [200]
    assert answers(door, [wrong] * 8) == [400] * 5 + [429] * 3
    assert answers(door, [right]) == [429], "a right one after too many is not told"
    assert answers(door, [wrong] * 2, ("2001:db8::1", 1)) == [400] * 2
    assert answers(door, [wrong] * 4, ("2001:db8::ffff", 1)) == [400] * 3 + [429], "one network"
    for number in range(20):
        answers(door, [wrong] * 5, (f"198.51.100.{number}", 1))
    assert answers(door, [right], ("192.0.2.2", 1)) == [429], "many guess from everywhere"
    assert answers(door, [right, wrong, right], ("192.0.2.1", 1)) == [200, 400, 200], "who was in before gets in"


# --- served --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, embedder) -> Path:
    base = tmp_path_factory.mktemp("door")
    run_index(Gallery.create(base / "indexes" / "drawn", embedder), write_folder(base / "pictures"))
    return base / "indexes"


@pytest.fixture(scope="module")
def server(indexes):
    with serve(indexes, "--allowed-host", "my.site") as running:
        yield running


def test_ones_own_computer_is_not_another_sites(server, indexes):
    port = urlsplit(server.url).port
    before = {path for path in (indexes.parent / "gradio").rglob("*") if path.is_file()}
    files = {"files": ("big.bin", b"x" * 1000)}
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"},
                    {"Host": f"evil.example:{port}", "Origin": "http://evil.example"}):  # fmt: skip
        for request in (
            {"method": "POST", "url": "gradio_api/upload", "files": files},
            {"method": "POST", "url": "gradio_api/call/galleries", "json": {"data": []}},
            {"method": "POST", "url": "gradio_api/queue/join", "content": "{}"},
            {"method": "GET", "url": "config"},
            {"method": "GET", "url": ""},
            {"method": "GET", "url": "health"},
        ):
            answer = httpx.request(**{**request, "url": server.url + request["url"]}, headers=headers)
            assert answer.status_code == 403, (headers, request)
            assert "drawn" not in answer.text
    assert {path for path in (indexes.parent / "gradio").rglob("*") if path.is_file()} == before
    named = httpx.get(server.url, headers={"Host": "my.site"})
    assert named.status_code == 200
    for forwarded, status in (("my.site, my.site", 200), ("my.site, evil.example", 403)):
        answer = httpx.get(server.url, headers={"Host": "my.site", "X-Forwarded-Host": forwarded})
        assert answer.status_code == status


def test_a_program_says_nothing_of_where_it_is_from(server, indexes):
    client = Client(server.url, verbose=False)
    picture = indexes.parent / "pictures" / "signs" / "cross" / "0.png"
    found = client.predict(image=handle_file(str(picture)), gallery="drawn", api_name="/search")
    assert found["results"][0]["hits"][0]["label"] == "cross"


def test_sockets_of_the_web_are_not_opened(server):
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as line:
        head = ["GET /gradio_api/queue/join HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket",
                "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==", "Sec-WebSocket-Version: 13"]  # fmt: skip
        line.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        assert not line.recv(1000).startswith(b"HTTP/1.1 101")


def test_who_leaves_in_the_midst_of_an_upload_is_no_fault_and_leaves_nothing(tmp_path, indexes):
    log, sent = tmp_path / "log", indexes.parent / "gradio"
    before = {path for path in sent.rglob("*") if path.is_file()}
    with serve(indexes, log=log) as server:  # no exception may be in its log
        here = urlsplit(server.url)
        head = (
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {here.netloc}\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=part\r\n\r\n--part\r\n"
            'Content-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        )
        whole = "x\r\n--part\r\n" + head.partition("--part\r\n")[2]
        for part in (head, head[:-2], head + "x" * 1000, head + "x" * 70000, head + whole, head + "x\r\n--pa"):
            with socket.create_connection((here.hostname, here.port)) as gone:
                gone.sendall(part.encode())
        assert httpx.get(server.url).status_code == 200
        Client(server.url, verbose=False).predict(api_name="/galleries")  # and goes on
        for _ in range(100):
            if (left := {path for path in sent.rglob("*") if path.is_file()}) == before:
                break
            time.sleep(0.1)
        assert left == before


def guesses(server: Server, count: int, headers: dict) -> list[int]:
    form = {"username": "anna", "password": "wrong"}
    return [httpx.post(f"{server.url}login", data=form, headers=headers).status_code for _ in range(count)]


def test_passwords_are_guessed_slowly_whatever_address_is_claimed(tmp_path, indexes):
    shutil.copytree(indexes / "drawn", tmp_path / "indexes" / "drawn")
    with serve(tmp_path / "indexes", "--auth", "anna:secret") as running:
        tried = [guesses(running, 1, {"X-Forwarded-For": f"203.0.113.{number}"})[0] for number in range(9)]
        assert tried == [400] * 5 + [429] * 4
        logged = (tmp_path / "app.log").read_text()
        assert len(re.findall(r"(?m)^\d{4}-\d\d-\d\d \S+ WARNING a wrong password from 127.0.0.1$", logged)) == 5
        assert httpx.get(f"{running.url}thumb/drawn/1?v=0").status_code == 401
    below = {"GRADIO_ROOT_PATH": "/pictures"}
    behind = "--auth", "anna:secret", "--trusted-proxy", "127.0.0.0/8", "--allowed-hosts", "pictures.example"
    with serve(tmp_path / "indexes", *behind, environment=below) as running:
        assert guesses(running, 7, {"X-Forwarded-For": "203.0.113.1"})[-1] == 429
        assert guesses(running, 1, {"X-Forwarded-For": "9.9.9.9, 203.0.113.1"}) == [429]
        assert guesses(running, 1, {"X-Forwarded-For": "203.0.113.2"}) == [400]
        right = {"username": "anna", "password": "secret"}
        logged_in = httpx.post(f"{running.url}login", data=right, headers={"X-Forwarded-For": "203.0.113.3"})
        assert logged_in.status_code == 200
        assert "Path=/pictures" not in str(logged_in.headers), "past the proxy it is at no path"
        named = {"X-Forwarded-For": "203.0.113.3", "Host": "pictures.example"}
        cookies = httpx.post(f"{running.url}login", data=right, headers=named).headers.get_list("set-cookie")
        assert cookies
        assert [cookie for cookie in cookies if "; Path=/pictures" not in cookie] == [], "they are of its path alone"


@pytest.mark.parametrize(
    "arguments", [("--trusted-proxy", "nowhere"), ("--trusted-proxy", "10.0.0.1/8"), ("--allowed-host", "https://a/b")]
)
def test_a_wrong_name_is_told_at_the_start(arguments, capsys, tmp_path):
    with pytest.raises(SystemExit):
        read_settings(["--library", str(tmp_path), *arguments])
    assert arguments[1].partition("/")[0] in capsys.readouterr().err
