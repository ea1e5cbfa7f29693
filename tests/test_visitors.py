"""Strangers on a public server, over raw HTTP: what is one visitor's is not there for any other."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile

import httpx
import pytest
from gradio_client import Client
from PIL import Image

from tests.support.crowd import own_images
from tests.support.drawing import encoded, picture, png_header, write_folder
from tests.support.galleries import run_index
from tests.support.serving import serve
from tests.support.visiting import Visitor, search
from unifex.gallery.gallery import Gallery
from unifex.ui.components import chosen
from unifex.ui.server.picture_addresses import PIXELS, PREVIEW, THUMBNAIL, address
from unifex.ui.server.workspaces import VISITORS

CROSSES = {f"signs/cross/{view}.png": encoded(picture("signs/cross", view)) for view in range(3)}
DISCS = {f"shapes/disc/{view}.png": encoded(picture("shapes/disc", view)) for view in range(2)}


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder):
    base = tmp_path_factory.mktemp("public")
    gallery = Gallery.create(base / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(base / "pictures"))
    limits = "--visitor-images 20 --visitor-megabytes 3 --visitor-trainings 1 --visitor-minutes 0.05 --rate 5000"
    with serve(base / "indexes", "--public", *limits.split(), expect_clean_log=False) as running:
        yield running


@pytest.fixture(scope="module")
def anna(server):
    visitor = Visitor(server.url)
    assert "3 images added" in visitor.index("private", CROSSES)
    return visitor


@pytest.fixture
def mallory(server):
    return Visitor(server.url)


def test_everybody_sees_the_servers_galleries_and_only_the_own_ones(anna, mallory, server):
    assert anna.galleries() == ["drawn", "private"]
    assert mallory.galleries() == ["drawn"]
    assert Visitor(server.url, cookies=False).galleries() == ["drawn"]
    path = mallory.upload(CROSSES["signs/cross/0.png"])
    assert search(mallory, path, "drawn")[0]["label"] == "cross"
    with pytest.raises(RuntimeError, match="no gallery 'private' here"):
        search(mallory, path, "private")
    for way in ("../private", "..", f"../{VISITORS}", "private/../private", "/etc", "drawn/.."):
        with pytest.raises(RuntimeError, match="cannot name a gallery"):
            search(mallory, path, way)


def test_the_same_name_is_another_gallery(anna, mallory):
    assert "2 images added" in mallory.index("private", DISCS)
    assert {hit["label"] for hit in search(mallory, mallory.upload(DISCS["shapes/disc/0.png"]), "private")} == {"disc"}
    assert {hit["label"] for hit in search(anna, anna.upload(DISCS["shapes/disc/0.png"]), "private")} == {"cross"}


def test_an_upload_is_its_owners_alone(anna, mallory, server):
    path = anna.upload(encoded(picture("signs/stripes", 70)), "secret.png")
    shown = anna.show(path)
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    folder, name = path.rsplit("/", 1)
    for other in (mallory, Visitor(server.url, cookies=False)):
        for way in (path, f"/{path}", f"{folder}/./{name}", f"{folder}/x/../{name}", path.replace("/", "%2F")):
            assert other.show(way).status_code in (403, 404), way
        for way in (
            f"/gradio_api/file/{path}",
            f"/file={path}",
            f"//gradio_api/file={path}",
            f"/gradio_api//file={path}",
        ):
            assert other.http.get(way).status_code in (403, 404), way
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            search(other, path, "drawn")
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            search(other, f"{folder}/../{folder.rsplit('/', 1)[1]}/{name}", "drawn")
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            other.drop("stolen", [[path, "stolen/x.png"]])


def test_equal_uploads_do_not_take_each_other_away(server, anna):
    twice = {"a/x/1.png": CROSSES["signs/cross/0.png"], "a/y/1.png": CROSSES["signs/cross/0.png"]}
    one, other = Visitor(server.url), Visitor(server.url)
    path = other.upload(CROSSES["signs/cross/0.png"], "1.png")
    assert "2 images added" in one.index("double", twice)
    assert other.show(path).status_code == 200
    other.drop("again", [[path, "1.png"]])
    assert "1 image added" in other.start("", "again")
    assert other.show(path).status_code == 403


def test_gps_and_all_other_metadata_stay_out_of_what_is_served(anna):
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 59.0)
    data = encoded(picture("signs/cross", 71), "JPEG", exif=exif, comment=b"SECRETCOMMENT")
    assert b"SECRETCAMERA" in data
    shown = anna.show(anna.upload(data)).content
    assert b"SECRET" not in shown
    assert not Image.open(io.BytesIO(shown)).getexif()


def test_pictures_of_a_workspace_are_its_owners_alone_and_without_metadata(server, mallory):
    owner = Visitor(server.url)
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    assert "1 image added" in owner.index("photos", {"a.jpg": encoded(picture("signs/cross", 72), "JPEG", exif=exif)})
    (folder,) = (server.indexes / VISITORS).glob("*/photos")
    (record,) = Gallery.open(folder).records([1])
    for kind in (THUMBNAIL, PREVIEW, PIXELS):
        place = address(kind, "photos", record)
        shown = owner.http.get(f"/{place}")
        assert shown.status_code == 200
        assert b"SECRET" not in shown.content
        assert mallory.http.get(f"/{place}").status_code == 404
        assert Visitor(server.url, cookies=False).http.get(f"/{place}").status_code == 404
    assert owner.http.get("/items/photos").json()["total"] == 1
    for asked in ("items/photos", "alike/photos/1", "labels/photos"):
        assert owner.http.get(f"/{asked}").status_code == 200
        assert mallory.http.get(f"/{asked}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"fold": "picture"}, "near-copies are not compared"),
        ({"where": "year>=1900"}, "the owner's"),
        ({"box": "auto"}, "are not looked for"),
    ],
)
def test_strangers_neither_compare_a_gallery_nor_ask_for_its_further_columns(server, asked, said):
    client = Client(server.url, verbose=False)
    with pytest.raises(Exception, match=said):
        client.predict(item="signs/cross/0.png", gallery="drawn", **asked, api_name="/search")
    found = client.predict(item="signs/cross/0.png", gallery="drawn", api_name="/search")
    assert found["results"][0]["hits"]


def test_strangers_change_and_take_only_what_is_theirs(server):
    owner = Visitor(server.url)
    assert "3 images added" in owner.index("mine", CROSSES)

    def act(action: str, gallery: str, text: str = "", items=(1,)) -> str:
        answer = owner.fire("signal-chosen", "input", json.dumps([action, gallery, items, text]))
        return str(answer[0])

    for action in ("tag", "untag", "label", "leave", "remove", "gallery"):
        assert "read-only" in act(action, "drawn", "new"), action
    assert "&#39;best&#39; is on 1 image now" in act("tag", "mine", "best")
    other = Visitor(server.url).fire("signal-chosen", "input", json.dumps(["map", "mine", [1], ""]))
    assert "no gallery &#39;mine&#39; here" in str(other[0])
    asked = {"what": "files", "items": "[1, 2]"}
    assert zipfile.ZipFile(io.BytesIO(owner.http.post("/chosen/mine", data=asked).content)).namelist()
    assert owner.http.post("/chosen/drawn", data=asked).status_code == 404
    assert Visitor(server.url).http.post("/chosen/mine", data=asked).status_code == 404
    assert Visitor(server.url).http.get("/tags/mine").status_code == 404
    assert owner.http.post("/chosen/mine", data={**asked, "items": " " * 300_000}).status_code in (400, 413)
    most = json.dumps([1, 2, *range(1_000_000, 1_000_000 + chosen.MOST - 2)])
    assert "parsing the body" not in owner.http.post("/chosen/mine", data={**asked, "items": most}).text


def test_a_strangers_picture_may_cost_less(anna):
    """9,000 x 8,000 pixels take 288 MB: at home they are welcome."""
    with pytest.raises(RuntimeError, match="9000 x 8000 pixels take 288 MB to decode, more than the 256 MB allowed"):
        search(anna, anna.upload(png_header(9000, 8000), "big.png"), "drawn")


def test_files_of_the_server_are_not_served(anna, server, tmp_path):
    key = server.indexes / VISITORS / "key"
    assert oct(key.stat().st_mode)[-3:] == "600"
    (own,) = [folder for folder in (server.indexes / VISITORS).glob("*/private") if len(Gallery.open(folder)) == 3]
    link = tmp_path / "link.png"
    link.symlink_to(key)
    for path in ("/etc/passwd", key, link, own / "items.sqlite", own / "gallery.json", "app.py", "../../etc/passwd"):
        assert anna.show(str(path)).status_code in (403, 404), path
        with pytest.raises((RuntimeError, httpx.HTTPStatusError)):
            search(anna, str(path), "drawn")


@pytest.mark.parametrize("spec", [
    "/etc", "hf:owner/name", "m4d:/data", "demo:", ".", "~", "s3://bucket/x", "http://169.254.169.254/latest",
])  # fmt: skip
def test_sources_other_than_uploads_are_refused(mallory, spec):
    assert "on a public server" in mallory.start(spec, "x")
    assert mallory.galleries() == ["drawn"]


def test_a_way_out_of_the_staged_folder(anna, mallory, server):
    (theirs,) = [folder for folder in (server.indexes / VISITORS).glob("*/private") if len(Gallery.open(folder)) == 3]
    mallory.index("escape", DISCS)
    (own,) = [folder.parent for folder in (server.indexes / VISITORS).glob("*/escape") if folder.is_dir()]
    for spec in (f"{own}/.uploads/../../{theirs.parent.name}/private", f"{theirs}", f"{own}/.uploads/../../../.."):
        assert "on a public server" in mallory.start(spec, "x")
    listed = f"path,label\n{theirs}/thumbs,x\n/etc/hostname,y\n../../../../../../etc/hostname,z\n"
    assert "on a public server" in mallory.index("y", {"list.csv": listed.encode()})
    shown = mallory.index("z", {"a/manifest.csv": listed.encode(), "a/0.png": DISCS["shapes/disc/0.png"]})
    assert "no image that could be indexed" in shown
    assert "leaves the uploaded folder" in shown


def test_the_servers_galleries_are_read_only(mallory):
    for element, data in (
        ("rename-button", ("mine", "", "drawn")),
        ("delete-button", ("drawn", "", "drawn")),
        ("pack-button", ("drawn", True)),
    ):
        assert "read-only" in mallory.fire(element, "click", *data)[0], element
    assert "read-only" in mallory.confirm("remove-button", "drawn", "signs/cross/0.png")[0]
    assert "read-only" in mallory.index("drawn", DISCS)
    assert mallory.call("galleries")["galleries"][0]["items"] == 24


def test_without_a_cookie_there_is_nothing_to_keep(server):
    nobody = Visitor(server.url, cookies=False)
    shown = nobody.drop("x", [[nobody.upload(b"x"), "x.png"]])
    assert "keeps no cookie" in shown


def test_forged_and_stolen_identities(anna, server):
    token = anna.http.cookies["unifex_visitor"]
    (folder,) = [folder for folder in (server.indexes / VISITORS).glob("*/private") if len(Gallery.open(folder)) == 3]
    name, _, signature = token.partition(".")
    assert folder.parent.name not in token
    forged = (
        folder.parent.name,
        f"{name}.",
        name,
        f"{name}.{'0' * 64}",
        f"{name[:-1]}.{signature}",
        f"x.{signature}",
        "é.x",
    )
    for cookie in forged:
        client = httpx.Client(base_url=server.url, headers={"Cookie": f"unifex_visitor={cookie}".encode("latin-1")})
        event = client.post("/gradio_api/call/galleries", json={"data": []}).json()["event_id"]
        assert '"private"' not in client.get(f"/gradio_api/call/galleries/{event}").text
    mallory = Visitor(server.url)
    mallory.session = anna.session
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        mallory.start("", "x")
    for path in (f"queue/data?session_hash={anna.session}", f"heartbeat/{anna.session}"):
        assert mallory.http.get(f"/gradio_api/{path}").status_code == 403
    cancelled = {"session_hash": anna.session, "fn_index": 0, "event_id": "x"}
    assert mallory.http.post("/gradio_api/cancel", json=cancelled).status_code == 403
    untyped = mallory.http.post(
        "/gradio_api/cancel", content=json.dumps(cancelled), headers={"Content-Type": "text/plain"}
    )
    assert untyped.status_code == 403


def test_other_sites_pages_cannot_act_for_a_visitor(anna, server):
    for origin, status in (("https://evil.example", 403), ("null", 403), (server.url.rstrip("/"), 200)):
        answer = anna.http.post("/gradio_api/call/galleries", json={"data": []}, headers={"Origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/proxy=http://127.0.0.1/"), ("GET", "/gradio_api/file=http://127.0.0.1:1/"),
        ("POST", "/gradio_api/vibe-edit"), ("GET", "/monitoring"), ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/stream/x/0/0/playlist.m3u8"), ("POST", "/gradio_api/process_recording"),
        ("PUT", "/gradio_api/upload"), ("GET", "/docs"), ("GET", "/gradio_api/../indexes"),
    ],
)  # fmt: skip
def test_what_the_page_does_not_need_is_not_there(anna, method, path):
    assert anna.http.request(method, path).status_code in (403, 404)


def test_a_visitors_limits(server):
    greedy = Visitor(server.url)
    many = {f"a/cross/{view}.png": encoded(picture("signs/cross", 100 + view)) for view in range(25)}
    shown = greedy.index("many", many)
    assert "20 images added" in shown
    assert "more than the 20 images of a visitor" in shown
    assert greedy.http.post("/gradio_api/upload", files={"files": ("x", bytes(4_000_000))}).status_code == 413
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(12):  # small as it comes, large once it is unpacked
            noise = Image.effect_noise((10, 10), 50).resize((600, 600)).convert("RGB")
            file.writestr(f"bmp/{number}.bmp", encoded(noise, "BMP"))
    fat = Visitor(server.url)
    assert "more than the 3.0 MB of a visitor" in fat.index("fat", {"fat.zip": archive.getvalue()})


def test_a_long_training_ends_and_what_it_reached_can_be_kept(server):
    visitor = Visitor(server.url)
    assert "20 images added" in visitor.index("taught", own_images())
    shown = visitor.train("taught", "learned", epochs=1000)
    assert "a training may take 3.0 s on this server; keep it, or go on. What was reached is kept" in shown
    visitor.press("train-finish")
    assert "trained in" in visitor.trained("taught")
    assert "trains 1 times for a visitor" in visitor.train("taught", "another")


def test_a_page_that_goes_with_two_streams_open_is_no_error(server):
    page = Visitor(server.url)
    page.call("galleries")
    told = {"User-Agent": "Mozilla/5.0", "Accept-Encoding": "identity"}  # compressed, it begins with the first message
    asked = {"params": {"session_hash": page.session}, "headers": told}
    streams = (page.http.stream("GET", "/gradio_api/queue/data", **asked) for _ in range(2))
    with next(streams) as one, next(streams) as other:
        assert one.status_code == other.status_code == 200
    assert Visitor(server.url).galleries() == ["drawn"]
    assert f"KeyError: '{page.session}'" not in (server.indexes.parent / "app.log").read_text()


@pytest.mark.parametrize("program", ["Mozilla/5.0", "python-httpx"])
def test_who_has_asked_nothing_is_told_so_and_no_error_is_logged(server, program):
    log, page = server.indexes.parent / "app.log", Visitor(server.url)
    known = log.stat().st_size
    asked = {"params": {"session_hash": page.session}, "headers": {"User-Agent": program}}
    answer = page.http.get("/gradio_api/queue/data", **asked)
    assert (answer.status_code, answer.text.count("session_not_found")) == (200, 1)
    assert log.read_text()[known:] == ""


def test_delete_my_data_now(server):
    visitor = Visitor(server.url)
    visitor.index("gone", DISCS)
    path = visitor.upload(CROSSES["signs/cross/1.png"], "q.png")
    assert list((server.indexes / VISITORS).glob("*/gone"))
    assert "is deleted" in visitor.fire("delete-my-data", "click")[0]
    assert not list((server.indexes / VISITORS).glob("*/gone"))
    assert visitor.galleries() == ["drawn"]
    assert visitor.show(path).status_code == 403
    assert not os.path.exists(path)


def test_looking_leaves_no_trace_and_using_keeps_alive(server):
    def folders() -> set[str]:
        return {path.name for path in (server.indexes / VISITORS).glob("[!.]*/")}

    before = folders()
    visitor = Visitor(server.url)
    visitor.call("evaluate", "drawn", "auto", 0, False, False)
    search(visitor, visitor.upload(DISCS["shapes/disc/0.png"]), "drawn")
    assert folders() == before
    visitor.index("mine", DISCS)
    (used,) = [server.indexes / VISITORS / name / "used" for name in folders() - before]
    long_ago = time.time() - 3600
    os.utime(used, (long_ago, long_ago))
    search(visitor, visitor.upload(DISCS["shapes/disc/0.png"]), "drawn")
    assert used.stat().st_mtime == pytest.approx(long_ago, abs=1)
    search(visitor, visitor.upload(DISCS["shapes/disc/0.png"]), "mine")
    assert used.stat().st_mtime > long_ago + 3000


def test_uploads_are_bounded_by_bytes_and_not_by_requests(tmp_path, embedder):
    Gallery.create(tmp_path / "indexes" / "none", embedder)  # so that no demo is drawn
    with serve(tmp_path / "indexes", "--public", "--rate", "10", "--visitor-megabytes", "1") as running:
        visitor = Visitor(running.url)
        for _ in range(30):
            visitor.upload(b"small")
        for _ in range(2):
            visitor.upload(bytes(800_000))
        assert visitor.http.post("/gradio_api/upload", files={"files": ("x", bytes(800_000))}).status_code == 429
        asked = [visitor.http.post("/gradio_api/call/galleries", json={"data": []}).status_code for _ in range(12)]
        assert asked == [200] * 10 + [429] * 2


def test_health_is_the_owners(server):
    known = httpx.get(f"{server.url}health").json()
    assert known["galleries"] == 1
    assert min(known["memory_bytes"], known["disk_free_bytes"], known["visitors"]) > 0
    assert httpx.get(f"{server.url}health", headers={"X-Forwarded-For": "1.2.3.4"}).status_code == 404
