"""The served app through ``gradio_client``."""

import io
import json
import os
import re
import shutil
import socket
import time
from unittest import mock

import httpx
import pytest
from gradio.routes import App
from PIL import Image

from tests.support import tiny_clip
from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import kill, serve
from unifex.gallery.gallery import Gallery
from unifex.models.embedder import Embedder
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui import item_routes, scripts
from unifex.ui.page import Page
from unifex.ui.server.picture_addresses import PIXELS, PREVIEW, THUMBNAIL, address


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder):
    base = tmp_path_factory.mktemp("app")
    gallery = Gallery.create(base / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(base / "pictures"))
    with serve(base / "indexes") as running:  # what is refused is no error of the program
        yield running


@pytest.fixture(scope="module")
def client(server):
    from gradio_client import Client

    return Client(server.url, verbose=False)


@pytest.fixture
def query(tmp_path):
    path = tmp_path / "query.png"
    path.write_bytes(encoded(picture("signs/cross", 3)))
    return path


def test_search_endpoint(client, query):
    from gradio_client import handle_file

    answer = client.predict(image=handle_file(str(query)), gallery="drawn", k=3, api_name="/search")
    hits = answer["results"][0]["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["file"] == "signs/cross/3.png"
    assert set(hits[0]) == {"rank", "file", "uri", "label", "domain", "score", "chance"}
    filtered = client.predict(image=handle_file(str(query)), gallery="drawn", k=24, domain="shapes", api_name="/search")
    assert {hit["domain"] for hit in filtered["results"][0]["hits"]} == {"shapes"}
    assert len(filtered["results"][0]["hits"]) == 12
    inside = {"label": "cross\nstripes", "folder": "signs/cross"}
    answer = client.predict(image=handle_file(str(query)), gallery="drawn", k=24, **inside, api_name="/search")
    assert len(answer["results"][0]["hits"]) == 6


def test_search_endpoint_with_boxes_and_items(client, query, tmp_path):
    from gradio_client import handle_file

    def hits(**given):
        answer = client.predict(**given, gallery="drawn", k=23, api_name="/search")["results"][0]
        return [(hit["file"], hit["score"]) for hit in answer["hits"]]

    crop = tmp_path / "crop.png"
    crop.write_bytes(encoded(picture("signs/cross", 3).crop((40, 16, 160, 144))))
    expected = hits(image=handle_file(str(crop)))
    assert hits(image=handle_file(str(query)), box="0.25,0.1,0.75,0.8") == expected
    assert hits(image=handle_file(str(query)), box="0.25,0.1,0.75,0.8; 0,0,1,1") != expected
    others = [hit for hit in expected if hit[0] != "signs/cross/3.png"]
    assert hits(item="signs/cross/3.png", box="0.25,0.1,0.75,0.8")[: len(others)] == others
    assert "signs/cross/3.png" not in dict(hits(item="signs/cross/3.png"))


def test_search_endpoint_finds_a_box(client, query, tmp_path):
    from gradio_client import handle_file

    def answer(path, **given):
        return client.predict(image=handle_file(str(path)), gallery="drawn", k=5, **given, api_name="/search")[
            "results"
        ][0]

    screen = Image.new("RGB", (800, 600), "white")
    screen.paste(picture("signs/cross", 3).resize((200, 200)), (500, 340))
    for y in range(20, 300, 40):
        screen.paste("grey", (20, y, 740 - y, y + 14))
    (tmp_path / "screen.png").write_bytes(encoded(screen))
    found = answer(tmp_path / "screen.png", box="auto")
    assert not found["stranger"]
    assert found["hits"][0]["file"] == "signs/cross/3.png"
    box = found["box"]
    assert answer(tmp_path / "screen.png", box=box)["hits"] == found["hits"]
    assert answer(tmp_path / "screen.png")["stranger"]
    assert answer(query, box="auto") == answer(query)


def test_search_endpoint_folds(client, query):
    from gradio_client import handle_file

    def hits(**given):
        return client.predict(image=handle_file(str(query)), gallery="drawn", k=24, **given, api_name="/search")[
            "results"
        ][0]["hits"]

    plain, folded = hits(), hits(fold="alike")
    assert all("copies" not in hit for hit in plain)
    assert len(folded) + sum(hit["copies"] for hit in folded) == len(plain) == 24
    assert [hit["rank"] for hit in folded] == [*range(1, len(folded) + 1)]
    assert [hit["copies"] for hit in hits(fold="bytes")] == [0] * 24


def test_search_endpoint_with_marks(client, query):
    from gradio_client import handle_file

    last = client.predict(image=handle_file(str(query)), gallery="drawn", k=24, api_name="/search")
    first, second, *_, last = (hit["file"] for hit in last["results"][0]["hits"])
    marks = {"more": f"{last}\n", "less": f"{first}\n{second}"}
    marked = client.predict(image=handle_file(str(query)), gallery="drawn", k=24, **marks, api_name="/search")
    files = [hit["file"] for hit in marked["results"][0]["hits"]]
    assert last in files[:2]
    assert len(files) == 22
    alone = client.predict(gallery="drawn", k=3, more=last, api_name="/search")["results"][0]
    assert alone["hits"][0]["file"] == last
    both = client.predict(item=first, gallery="drawn", k=24, **marks, api_name="/search")["results"][0]
    assert len(both["hits"]) == 22


def test_galleries_endpoint(client):
    answer = client.predict(api_name="/galleries")
    assert [(g["name"], g["items"]) for g in answer["galleries"]] == [("drawn", 24)]


def test_evaluate_endpoint(client):
    from gradio_client.exceptions import AppError

    answer = client.predict(gallery="drawn", context=True, api_name="/evaluate")
    assert (answer["protocol"], answer["queries"], answer["context"]) == ("leave-one-out", 24, True)
    assert set(answer["domains"]) == {"shapes", "signs"}
    with pytest.raises(AppError, match="no protocol 'half'"):
        client.predict(gallery="drawn", protocol="half", api_name="/evaluate")


def test_duplicates_are_listed_as_the_command_does(client):
    from gradio_client.exceptions import AppError

    answer = client.predict(gallery="drawn", level="alike", api_name="/duplicates")
    assert (answer["gallery"], answer["level"]) == ("drawn", "alike")
    assert all(group["keep"]["file"] and group["copies"] for group in answer["groups"])
    assert set(answer) == {"gallery", "level", "groups", "left_out"}
    with pytest.raises(AppError, match="no level 'near'"):
        client.predict(gallery="drawn", level="near", api_name="/duplicates")


def test_searches_are_saved_listed_run_renamed_and_deleted_as_the_command_does(client, query):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    def saved(**asked):
        return client.predict(gallery="drawn", **asked, api_name="/saved")

    answer = client.predict(image=handle_file(str(query)), gallery="drawn", k=3, save="crosses", api_name="/search")
    assert saved() == {"gallery": "drawn", "saved": [{"name": "crosses", "new": 0, "problem": ""}]}
    with pytest.raises(AppError, match="there is a saved search 'crosses' already; give another name"):
        client.predict(item="signs/cross/1.png", gallery="drawn", save="crosses", api_name="/search")
    found = saved(name="crosses")
    assert [hit["file"] for hit in found["hits"]] == [hit["file"] for hit in answer["results"][0]["hits"]]
    assert (found["new"], found["hits"][0]["new"]) == (0, False)
    assert saved(name="crosses", rename="kreuze")["name"] == "kreuze"
    assert saved(name="kreuze", delete=True)["deleted"] == "kreuze"
    assert saved()["saved"] == []
    with pytest.raises(AppError, match="no saved search 'kreuze'"):
        saved(name="kreuze")
    with pytest.raises(AppError, match="1 to 80 characters"):
        client.predict(image=handle_file(str(query)), gallery="drawn", save=" ", api_name="/search")


def test_only_the_named_endpoints_are_offered(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/search", "/search_words", "/saved", "/galleries", "/duplicates", "/evaluate"}


def test_words_alone_folded_and_beside_an_image(server, client, query, tmp_path):
    from gradio_client import handle_file

    worded = Gallery.create(
        server.indexes / "worded", Embedder.load(f"raw:local-dir:{tiny_clip.write(tmp_path / 'm')}")
    )
    pictures = write_folder(tmp_path / "pictures")
    shutil.copy(pictures / "signs/cross/0.png", pictures / "signs/cross/copy.png")
    run_index(worded, pictures)
    asked = {"gallery": "worded", "k": 25}

    def hits(**given) -> list[dict]:
        named = "/search_words" if "image" not in given else "/search"
        return client.predict(**asked, **given, api_name=named)["results"][0]["hits"]

    def expected(*images, fold: str = "", **weight) -> list[tuple[str, object]]:
        found = search(worded, Query(images, text="a red disc", **weight), 25, fold=fold).hits
        return [(hit.path, pytest.approx(hit.score, abs=2e-6)) for hit in found]

    told = lambda found: [(hit["file"], hit["score"]) for hit in found]  # noqa: E731
    try:
        plain, folded = hits(words="a red disc"), hits(words="a red disc", fold="bytes")
        assert told(plain) == expected()
        assert told(folded) == expected(fold="bytes")
        assert (len(plain), len(folded)) == (25, 24)
        assert sorted(hit["copies"] for hit in folded) == [0] * 23 + [1]
        both = hits(image=handle_file(str(query)), words="a red disc", text_weight=0.3)
        assert told(both) == expected(query, text_weight=0.3)
        assert told(both) != told(plain)
    finally:
        shutil.rmtree(server.indexes / "worded")


def test_words_for_a_gallery_of_the_bundled_backbone(server, client):
    found = client.predict(words="a street sign", gallery="drawn", k=5, api_name="/search_words")["results"][0]
    expected = search(Gallery.open(server.indexes / "drawn"), Query(text="a street sign"), 5).hits
    assert [(hit["file"], hit["score"]) for hit in found["hits"]] == [(h.path, round(h.score, 6)) for h in expected]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"gallery": "nope"}, "no gallery 'nope'"),
        ({"k": 0}, "1 to 1000"),
        ({"dim": 65}, "no 65-d"),
        ({"k": "many"}, "k must be a whole number"),
        ({"dim": -1}, "the length of the embeddings must be"),
        ({"fold": "roughly"}, "no level 'roughly' of near-copies"),
        ({"fold": ["bytes"]}, "fold must be text"),
        ({"box": "automatic"}, "each of a box's x, y, width and height"),
        ({"min_score": 2}, "the least similarity must be -1.0 to 1.0"),
        ({"domain": "moon"}, "no domain 'moon'"),
        ({"trust": 200}, "the share of false accepts must be"),
        ({"gallery": ["drawn"]}, "gallery must be text"),
        ({"box": "0,0,2,2"}, "must be 0.0 to 1.0 of the picture"),
        ({"box": "0,0,1,1 " * 17}, "at most 16 boxes"),
        ({"box": [0, 0, 1, 1]}, "box must be text"),
        ({"item": "nothing.png"}, "no item 'nothing.png'"),
        ({"label": "disk"}, "no label 'disk'"),
        ({"folder": "moon"}, "no folder 'moon'"),
        ({"where": "year>1"}, "no column 'year'"),
        ({"where": "year"}, "is no condition"),
        ({"words": ["a dog"]}, "words must be text"),
        ({"words": "a dog", "text_weight": 2}, "the balance must be"),
        ({"more": "nothing.png"}, "no item 'nothing.png'"),
        ({"less": ["shapes/disc/0.png"]}, "less must be text"),
        ({"more": "shapes/disc/0.png", "less": "shapes/disc/0.png"}, "more and as less like it"),
    ],
)
def test_wrong_calls_are_answered_with_a_sentence(client, query, changes, sentence):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match=sentence):
        client.predict(image=handle_file(str(query)), **{"gallery": "drawn", **changes}, api_name="/search")


def test_a_file_that_is_no_image(client, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    (tmp_path / "words.png").write_bytes(b"words")
    with pytest.raises(AppError, match="not an image"):
        client.predict(image=handle_file(str(tmp_path / "words.png")), gallery="drawn", api_name="/search")
    with pytest.raises(AppError, match="upload the file"):
        client.predict(image={}, gallery="drawn", api_name="/search")
    with pytest.raises(AppError, match="nothing is given to search with: give image, item, words or more"):
        client.predict(gallery="drawn", api_name="/search")


def test_server_files_cannot_be_named(server, client):
    import httpx

    outside = {"path": str(server.indexes / "drawn" / "gallery.json"), "meta": {"_type": "gradio.FileData"}}
    call = httpx.post(f"{server.url}gradio_api/call/search", json={"data": [outside, "drawn", 3, "", -1, 0, False, 0]})
    if call.status_code == 200:
        answer = httpx.get(f"{server.url}gradio_api/call/search/{call.json()['event_id']}")
        assert "event: error" in answer.text
        assert "results" not in answer.text
    for path in ("gallery.json", "items.sqlite"):
        assert httpx.get(f"{server.url}gradio_api/file={server.indexes}/drawn/{path}").status_code == 403


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "values are asked for, and 0 came"),
        (["drawn"], "values are asked for, and 1 came"),
        (["\ud800"] * 30, "half a character"),
        ([{"path": "\ud800"}] * 30, "half a character"),
    ],
)
def test_what_no_client_sends_is_refused_in_a_sentence(server, data, sentence):
    for endpoint in ("search", "search_words"):
        asked = httpx.post(
            f"{server.url}gradio_api/call/{endpoint}",
            content=json.dumps({"data": data}),
            headers={"Content-Type": "application/json"},
        )
        told = httpx.get(f"{server.url}gradio_api/call/{endpoint}/{asked.json()['event_id']}").text
        assert sentence in told
        assert "internal error" not in told


def addresses(server, kind: str) -> list[str]:
    gallery = Gallery.open(server.indexes / "drawn")
    return [server.url + address(kind, "drawn", record) for record in gallery.records(gallery.snapshot().columns.ids)]


def test_pictures_have_addresses_that_a_browser_may_keep(server):
    for kind, side in ((THUMBNAIL, 64), (PREVIEW, 64), (PIXELS, 160)):
        given = httpx.get(addresses(server, kind)[0])
        assert given.headers["content-type"] == "image/jpeg"
        assert "immutable" in given.headers["cache-control"]
        assert max(Image.open(io.BytesIO(given.content)).size) >= side


def test_pictures_are_compressed_once_and_texts_on_their_way(server):
    item = addresses(server, THUMBNAIL)[0].partition("?")[0].rpartition("/")[2]
    pictures = [addresses(server, kind)[0] for kind in (THUMBNAIL, PREVIEW, PIXELS)]
    pictures.append(f"{server.url}api/v1/galleries/drawn/items/{item}/thumb")
    for at in [*pictures, f"{server.url}items/drawn"]:
        given = httpx.get(at, headers={"Accept-Encoding": "br, gzip"})
        assert given.status_code == 200
        assert given.headers.get("content-encoding") == (None if at in pictures else "br"), at


def test_a_document_shows_the_tabs_of_the_page_alone_until_it_is_drawn(server):
    tabs = re.search('<div id="first-paint".*?<ul>(.*?)</ul>', httpx.get(server.url).text, re.DOTALL)
    assert tabs
    assert re.findall("<li>(.*?)</li>", tabs[1]) == ["Search", "Gallery", "Evaluate", "Map", "Train"]


@pytest.mark.parametrize("change", [("?v=", "?v=0"), ("?v=", "?w="), ("/1?", "/999?"), ("/drawn/", "/no%20such/")])
def test_a_picture_that_is_not_there_is_refused_in_words(server, change):
    answer = httpx.get(addresses(server, THUMBNAIL)[0].replace(*change))
    assert answer.status_code == 404
    assert answer.json()["detail"]
    assert "immutable" not in answer.headers.get("cache-control", "")


@pytest.mark.parametrize("item", ["-1", "x", str(2**64), "1.5", "..%2f1"])
def test_what_names_no_item_is_refused(server, item):
    assert httpx.get(f"{server.url}thumb/drawn/{item}?v=0").status_code in (404, 422)


def test_a_port_in_use_is_passed_by_and_of_an_image_that_went_the_thumbnail_stays(server, tmp_path, embedder):
    taken = int(server.url.rstrip("/").rpartition(":")[2])
    gallery = Gallery.create(tmp_path / "indexes" / "drawn", embedder)
    folder = write_folder(tmp_path / "pictures", views=1)
    run_index(gallery, folder)
    shutil.rmtree(folder)
    with serve(tmp_path / "indexes", "--port", str(taken)) as second:
        assert taken < int(second.url.rstrip("/").rpartition(":")[2]) <= taken + 20
        thumb, large = (httpx.get(addresses(second, kind)[0]) for kind in (THUMBNAIL, PREVIEW))
        assert thumb.status_code == 200
        assert large.status_code == 404
        assert "no longer there" in large.json()["detail"]


def test_what_a_killed_server_had_of_an_upload_goes_at_a_later_start(tmp_path, embedder):
    Gallery.create(tmp_path / "indexes" / "drawn", embedder)
    place, head = tmp_path / "gradio", b"content-type: multipart/form-data; boundary=b\r\ncontent-length: 9999999\r\n"
    part = b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + bytes(100_000)
    with serve(tmp_path / "indexes") as first:
        host = first.url.rstrip("/").rpartition("/")[2]
        with socket.create_connection(("127.0.0.1", int(host.partition(":")[2]))) as line:
            line.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nhost: " + host.encode() + b"\r\n" + head + b"\r\n" + part
            )
            while not any(place.glob("tmp*")):
                time.sleep(0.05)
            kill(first)
    (half,) = place.glob("tmp*")
    fresh, own = place / "tmpabcdefgh", place / "tmp_of_mine.png"
    for file in (fresh, own):
        file.touch()
    for file in (half, own):
        os.utime(file, (0, 0))
    with serve(tmp_path / "indexes"):
        assert {path.name for path in place.glob("tmp*")} == {fresh.name, own.name}


def test_all_pixels_of_a_large_picture_come_without_its_metadata(tmp_path, embedder):
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    data = encoded(picture("signs/cross", 1, side=400).resize((2000, 1500)), "JPEG", exif=exif)
    (tmp_path / "large.jpg").write_bytes(data)
    gallery = Gallery.create(tmp_path / "drawn", embedder)
    run_index(gallery, tmp_path / "large.jpg")
    (record,) = gallery.records([1])
    whole = item_routes.pixels(gallery, record)
    assert b"SECRET" not in whole
    assert Image.open(io.BytesIO(whole)).size == (2000, 1500)
    assert Image.open(io.BytesIO(item_routes.pixels(gallery, record, most=30_000))).size == (200, 150)


def test_what_looks_most_like_an_item_and_labels_that_exist(server):
    items = {item["id"]: item for item in httpx.get(f"{server.url}items/drawn").json()["items"]}
    cross = next(item for item in items.values() if item["label"] == "cross")
    alike = httpx.get(f"{server.url}alike/drawn/{cross['id']}").json()["items"]
    assert len(alike) == 16
    assert cross["id"] not in [item["id"] for item in alike]
    assert alike[0]["label"] == "cross"
    assert [item["score"] for item in alike] == sorted((item["score"] for item in alike), reverse=True)
    labels = httpx.get(f"{server.url}labels/drawn", params={"like": " S"}).json()["labels"]
    assert labels == ["square", "stripes", "disc", "cross"]  # those that begin so first


@pytest.mark.parametrize("asked", ["alike/drawn/999", "alike/no%20such/1", "labels/no%20such", "pixels/drawn/1?v=0"])
def test_what_is_not_there_has_no_neighbours_labels_or_pixels(server, asked):
    answer = httpx.get(server.url + asked)
    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_scripts_are_modules_that_browsers_keep(server):
    grid = httpx.get(f"{server.url}code/{scripts.VERSION}/grid.js")
    assert grid.headers["content-type"].startswith("text/javascript")
    assert "immutable" in grid.headers["cache-control"]
    assert httpx.get(f"{server.url}code/older/grid.js").headers["cache-control"] == "no-store"
    for nothing in ("grid", "unifex.css", "..%2Funifex.css"):
        assert httpx.get(f"{server.url}code/{scripts.VERSION}/{nothing}").status_code == 404


def test_items_are_given_part_by_part(server):
    whole = httpx.get(f"{server.url}items/drawn").json()
    assert whole["total"] == len(whole["items"]) == 24
    part = httpx.get(f"{server.url}items/drawn?start=10&count=5")
    assert part.json()["items"] == whole["items"][10:15]
    assert part.headers["cache-control"] == "no-store"
    first = whole["items"][0]
    assert httpx.get(f"{server.url}thumb/drawn/{first['id']}?v={first['v']}").status_code == 200
    assert httpx.get(f"{server.url}items/drawn?start=24").json()["items"] == []
    shown = {"view": json.dumps({"chosen": {"domain": [first["domain"]]}, "order": "newest"})}
    among = [item["id"] for item in whole["items"] if item["domain"] == first["domain"]]
    assert httpx.get(f"{server.url}ids/drawn", params=shown).json()["ids"] == among[::-1]
    assert httpx.get(f"{server.url}ids/no%20such").status_code == 404


@pytest.mark.parametrize("asked", ["start=-1", "count=0", "count=1001", "start=x", f"start={2**31}"])
def test_a_part_that_cannot_be_is_refused(server, asked):
    assert httpx.get(f"{server.url}items/drawn?{asked}").status_code == 422
    assert httpx.get(f"{server.url}items/no%20such").status_code == 404


def test_at_the_end_open_pages_are_let_go_before_the_server_waits_for_them(monkeypatch):
    page, told = Page(), []
    page.is_running, page.server = True, mock.Mock()
    page.server.close = lambda: told.append(page.app.stop_event.is_set())
    page.app = App.create_app(page)
    monkeypatch.setattr("unifex.ui.page.time.sleep", mock.Mock(side_effect=KeyboardInterrupt))
    page.block_thread()
    assert told == [True]
