"""The page behind nginx, with HTTPS and below a path, as docs/proxy.md has it."""

import re
import shutil
import subprocess
import time

import httpx
import pytest

from tests.support.serving import ROOT, free_port, serve
from unifex.ui.server.guard import COOKIE

NAME, BELOW = "pictures.example", "/pictures"
CONFIGURATION = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "proxy.md").read_text(), re.S)[1]
FRAME = """daemon off; pid {0}/pid; error_log {0}/error.log; worker_processes 1;
events {{}}
http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
{1}}}"""

pytestmark = pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="needs nginx, openssl")


@pytest.fixture(scope="module")
def site(demo, tmp_path_factory):
    """(a client of the site, the address of the server behind it)"""
    base = tmp_path_factory.mktemp("site")
    shutil.copytree(demo, base / "indexes")
    key, certificate, port = base / "key.pem", base / "certificate.pem", free_port()
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={NAME} -keyout {key}"
    subprocess.run(["openssl", *made.split(), "-out", certificate], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ROOT_PATH", BELOW)
        arguments = "--public", "--allowed-hosts", NAME, "--trusted-proxy", "127.0.0.1", "--rate", "5000"
        with serve(base / "indexes", *arguments) as server:
            text = CONFIGURATION
            for written, here in (
                ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
                ("/etc/ssl/pictures.example.pem", str(certificate)),
                ("/etc/ssl/pictures.example.key", str(key)),
                ("http://127.0.0.1:7860/", server.url),
            ):
                assert text.count(written) == 1
                text = text.replace(written, here)
            (base / "nginx.conf").write_text(FRAME.format(base, text))
            proxy = subprocess.Popen(["nginx", "-p", base, "-c", base / "nginx.conf"], stderr=subprocess.PIPE)
            try:
                address = f"https://127.0.0.1:{port}{BELOW}/"
                with httpx.Client(base_url=address, verify=False, headers={"Host": NAME}, timeout=60) as client:
                    _wait_for(client, proxy)
                    yield client, server.url
            finally:
                proxy.terminate()
                proxy.wait()


def _wait_for(client: httpx.Client, proxy: subprocess.Popen) -> None:
    for _ in range(100):
        assert proxy.poll() is None, proxy.stderr.read()
        try:
            client.get("robots.txt")
            return
        except httpx.ConnectError:
            time.sleep(0.1)


def test_the_page_is_of_its_name_below_its_path_and_its_cookie_for_https(site):
    client, _ = site
    page = client.get("")
    assert page.status_code == 200
    of_it = rf"{COOKIE}=.*; Path={BELOW}; HttpOnly; SameSite=None; Secure; Partitioned"
    assert re.fullmatch(of_it, page.headers["set-cookie"])
    assert client.get("config").json()["root"] == f"https://{NAME}{BELOW}"
    assert set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text)) <= {"/manifest.json"}  # all else is beside the page


def test_pictures_uploads_and_answers_pass(site):
    client, _ = site
    (gallery,) = _answer(client, "galleries", [])[0]["galleries"]
    items = client.get(f"items/{gallery['name']}", params={"start": 0, "count": 1}).json()["items"]
    picture = client.get(f"thumb/{gallery['name']}/{items[0]['id']}", params={"v": items[0]["v"]})
    assert picture.headers["content-type"] == "image/jpeg"
    large = client.post("gradio_api/upload", files={"files": ("large.bin", bytes(3 << 20))})  # nginx alone takes 1 MB
    assert large.status_code == 200


def test_the_rest_api_is_below_the_path_too(site):
    client, behind = site
    document = client.get("api/v1/openapi.json").raise_for_status().json()
    assert document["servers"] == [{"url": f"{BELOW}/api/v1"}]
    for ask in (client, httpx.Client(base_url=behind, headers={"Host": NAME})):
        (gallery,) = ask.get("api/v1/galleries").raise_for_status().json()["galleries"]
        items = ask.get(f"api/v1/galleries/{gallery['name']}/items").raise_for_status().json()["items"]
        thumbnail = ask.get(f"api/v1/galleries/{gallery['name']}/items/{items[0]['id']}/thumb")
        assert thumbnail.raise_for_status().headers["content-type"].startswith("image/")
        assert ask.get("api/v1/nothing").json()["code"] == "not_found"


def _answer(client: httpx.Client, endpoint: str, data: list) -> list:
    event = client.post(f"gradio_api/call/{endpoint}", json={"data": data}).raise_for_status().json()["event_id"]
    told = client.get(f"gradio_api/call/{endpoint}/{event}").text
    return httpx.Response(200, text=re.search(r"event: complete\ndata: (.*)", told)[1]).json()


def test_passwords_are_guessed_slowly_by_every_address_of_the_login(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ROOT_PATH", BELOW)
        with serve(tmp_path / "indexes", "--auth", "anna:secret") as server:
            wrong = {"username": "anna", "password": "no"}
            addresses = [f"{server.url}login", f"{server.url}{BELOW[1:]}/login"] * 4
            tried = [httpx.post(address, data=wrong).status_code for address in addresses]
    assert tried == [400] * 5 + [429] * 3


def test_answers_come_through_nginx_as_it_is_without_a_word(site, tmp_path):
    """Neither HTTP/1.1 nor unbuffered, which is how nginx does it of itself."""
    _, behind = site
    port = free_port()
    bare = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {behind}; proxy_set_header Host $http_host; }} }}"
    )
    (tmp_path / "nginx.conf").write_text(FRAME.format(tmp_path, bare))
    proxy = subprocess.Popen(["nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf"], stderr=subprocess.PIPE)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/", headers={"Host": NAME}, timeout=20) as client:
            _wait_for(client, proxy)
            with client.stream("GET", "gradio_api/heartbeat/bare") as beat:
                assert beat.headers["content-type"].startswith("text/event-stream")
                assert next(beat.iter_bytes())  # at once, not when a buffer is full
    finally:
        proxy.terminate()
        proxy.wait()


def test_others_do_not_get_in_by_it(site):
    client, behind = site
    assert client.get("", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("gradio_api/app_id", headers={"Origin": f"https://{NAME}"}).status_code == 200
    assert client.get("gradio_api/app_id", headers={"Origin": "https://evil.example"}).status_code == 403
    assert httpx.get(f"{behind}health").status_code == 200
    assert client.get("health").status_code == 404
    assert client.get("health", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
