"""Folders of stores as sources, through the command line: S3 as moto serves it, WebDAV, the hub, a bad web server."""

import hashlib
import io
import json
import logging
import shutil
import unicodedata
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import stub_hub, web_store
from tests.support.drawing import encoded, picture
from unifex.cli.main import main
from unifex.data import addresses, locations, store_failures, stores
from unifex.data.item import Item, Options, SourceError
from unifex.data.locations import Place
from unifex.data.sources import open_source
from unifex.data.store_tree import StoreTree
from unifex.data.stores import Entry
from unifex.data.tree import Node, TreeImages
from unifex.exports.export import sent
from unifex.exports.formats import FORMATS
from unifex.exports.selection import Selection
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.gallery.read_ahead import ReadAhead

SECRET = "wJalrXUtnFEMI"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Stores are reached anew, and nobody waits long."""
    stores._reach.cache_clear()
    monkeypatch.setattr(store_failures, "PAUSES", ())
    monkeypatch.setattr(store_failures.attempt, "__defaults__", ((0.01,),))
    yield
    stores._reach.cache_clear()


@pytest.fixture
def index(tmp_path, capsys):
    """``index ADDRESS``: (exit code, report or None, what was said)."""

    def run(address: str, *options: str):
        capsys.readouterr()
        command = ["index", address, "--gallery", "far", "--library", str(tmp_path / "lib"), "--json", *options]
        code = main(command)
        out = capsys.readouterr()
        return code, json.loads(out.out) if out.out else None, out.err

    return run


@pytest.fixture
def gallery(tmp_path):
    """The gallery that was made."""
    return lambda: Library(tmp_path / "lib").get("far")


def names(gallery: Gallery) -> list[str]:
    return sorted(record.path for record in gallery.records(gallery.snapshot().columns.ids))


def failed(report: dict) -> dict[str, str]:
    return {one["path"]: one["reason"] for one in report["failed"]}


@pytest.fixture
def photos(tmp_path):
    """Six pictures in two labels, one with a name that addresses must quote."""
    root = tmp_path / "web" / "my photos"
    for label, view, name in [*(("disc", view, f"{view}.png") for view in range(4)), ("ring", 4, "é #5.png")]:
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / name).write_bytes(encoded(picture("shapes/disc", view)))
    (root / "ring" / "unnamed").write_bytes(encoded(picture("shapes/disc", 9)))
    return root


ALL = ["disc/0.png", "disc/1.png", "disc/2.png", "disc/3.png", "ring/unnamed", "ring/é #5.png"]


@pytest.fixture
def web(photos):
    with web_store.running(photos.parent) as running:
        yield running


@pytest.fixture
def address(web):
    return f"{web.url}/my photos/"


# --- addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "kept"), [
    ("S3://bucket/Photos/", "s3://bucket/Photos"), ("s3://bucket", "s3://bucket"), ("gs://b/a b#1", "gs://b/a b#1"),
    ("https://Host:8443/a b/%C3%A9/", "https://host:8443/a%20b/%C3%A9"), ("http://[::1]:80/x", "http://[::1]:80/x"),
    ("hf://datasets/owner/name@main/a", "hf://datasets/owner/name@main/a"),
    ("s3://arn:aws:s3:us-east-1:1:accesspoint/x", "s3://arn:aws:s3:us-east-1:1:accesspoint/x"),
])  # fmt: skip
def test_an_address_has_one_spelling(written, kept):
    assert addresses.remembered(written) == kept
    assert addresses.remembered(kept) == kept
    assert locations.known_as(written, []) == kept


@pytest.mark.parametrize(("written", "said"), [
    ("s3://", "names no server or bucket"), ("https:///x", "names no server or bucket"), ("s3://a/../b", "or .."),
    ("https://h/a?x=1", "a signature"), ("https://h/#a", "a signature"), ("s3://b/x?versionId=1", "a signature"),
    ("https://user:12/34@h/", "password"),
    ("https://h\\@evil/", "password"), ("https://h/a\\b", "control character"), ("s3://b/a\nb", "control character"),
])  # fmt: skip
def test_addresses_that_are_not_taken(index, written, said):
    code, _, err = index(written)
    assert (code, said in err) == (1, True), err


SCHEMES = st.sampled_from([scheme for store in stores.STORES for scheme in store.schemes])
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20)


@settings(max_examples=60, deadline=None)
@given(SCHEMES, WORDS, st.sampled_from(["user:{}@host/x", "host/x?sig={}", "host?X-Amz-Signature={}"]))
def test_no_secret_is_kept_or_said(scheme, word, form):
    with pytest.raises(SourceError) as refused:
        addresses.remembered(f"{scheme}://{form.format(word)}")
    assert word not in str(refused.value)


# --- S3 ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3():
    """An S3 of one's own; credentials and address are in the environment, where s3fs looks for them."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    env = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (env | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
            patch.setenv(name, value)
        import s3fs

        yield s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    server.stop()


def put(s3, photos: Path, bucket: str) -> None:
    s3.mkdir(bucket)
    for file in filter(Path.is_file, photos.rglob("*")):
        s3.pipe_file(f"{bucket}/in/{file.relative_to(photos).as_posix()}", file.read_bytes())


def test_a_bucket_as_a_folder(s3, photos, index, gallery, tmp_path):
    put(s3, photos, "first")
    s3.pipe_file("first/in/notes.md", b"text")
    s3.pipe_file("first/in/.git/x.png", b"hidden")
    code, report, err = index("s3://first/in/")
    assert (code, report["added"], report["items"]) == (0, 6, 6), err
    assert failed(report) == {"notes.md": "not an image", ".git": "skipped: history of git"}
    assert names(gallery()) == ALL
    record = gallery().item_at("ring/é #5.png")
    assert (record.label, record.uri) == ("ring", "s3://first/in/ring/é #5.png")
    assert [known.spec for known in gallery().sources()] == ["s3://first/in"]

    s3.pipe_file("first/in/disc/0.png", encoded(picture("signs/cross", 0)))  # another etag
    s3.pipe_file("first/in/disc/2.png", s3.cat_file("first/in/disc/2.png"))  # the same
    s3.mv("first/in/disc/1.png", "first/in/moved/one.png")
    s3.rm("first/in/disc/3.png")
    before = gallery().item_at("disc/1.png").id
    code, report, _ = index("s3://first/in", "--prune", "--exclude", "*.md")
    assert (code, report["added"], report["skipped"], report["moved"], report["removed"]) == (0, 1, 3, 1, 1)
    assert gallery().item_at("moved/one.png").id == before
    assert names(gallery()) == ["disc/0.png", "disc/2.png", "moved/one.png", "ring/unnamed", "ring/é #5.png"]

    data = b"".join(sent(Selection.of(gallery(), [before]), FORMATS["files"]))
    assert zipfile.ZipFile(io.BytesIO(data)).read("moved/one.png") == s3.cat_file("first/in/moved/one.png")
    for file in filter(Path.is_file, (tmp_path / "lib").rglob("*")):
        assert SECRET.encode() not in file.read_bytes()

    for name in ("disc/0.png", "moved/one.png", "ring/unnamed", "ring/é #5.png"):
        s3.rm(f"first/in/{name}")
    code, _, err = index("s3://first/in", "--prune")
    assert (code, "only 1 of the 5 items" in err) == (1, True)
    assert len(gallery()) == 5
    gone = gallery().item_at("moved/one.png")
    with pytest.raises(GalleryError, match=r"cannot be had from its store: not in the store"):
        gallery().original(gone)
    assert main(["forget", "S3://first/in/", "--gallery", "far", "--library", str(tmp_path / "lib")]) == 0
    assert len(gallery()) == 0


def test_a_table_in_a_bucket_names_images(s3, photos, index, gallery):
    put(s3, photos, "tables")
    s3.pipe_file("tables/in/few.csv", "path,label\ndisc/1.png,one\nring/é #5.png,five\nnone.png,x\n../x.png,x".encode())
    code, report, _ = index("s3://tables/in/few.csv")
    assert (code, report["items"], gallery().item_at("disc/1.png").label) == (0, 2, "one")
    assert failed(report)["none.png"] == "line 4: file not found"
    assert "path leaves the folder" in failed(report)["../x.png"]
    s3.mv("tables/in/few.csv", "tables/in/manifest.csv")
    assert index("s3://tables/in")[1]["skipped"] == 2


def test_buckets_that_are_not_there(s3, index, gallery):
    code, _, err = index("s3://nowhere/in")
    assert (code, "not in the store" in err) == (1, True)
    s3.mkdir("bare")
    code, _, err = index("s3://bare/in")
    assert (code, "is empty, or cannot be seen with these credentials" in err) == (1, True)


def test_a_list_that_fails_half_way_removes_nothing(photos, index, gallery, monkeypatch):
    """A thousand names a page: the second may fail."""
    pages = {"whole": True}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            if "list-type=2" not in self.path:
                data, status = (photos / self.path.partition("/in/")[2]).read_bytes(), 200
            elif "continuation-token" in self.path and not pages["whole"]:
                data, status = b"<Error><Code>AccessDenied</Code></Error>", 403
            else:
                few = [2, 3] if "continuation-token" in self.path else [0, 1]
                keys = "".join(
                    f"<Contents><Key>in/disc/{n}.png</Key><Size>9</Size><ETag>{n}</ETag>"
                    "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>" for n in few
                )  # fmt: skip
                more = "<IsTruncated>true</IsTruncated><NextContinuationToken>2</NextContinuationToken>" * (
                    2 not in few
                )
                data, status = f"<ListBucketResult>{keys}{more}</ListBucketResult>".encode(), 200
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    report = index("s3://bucket/in")[1]
    assert report["items"] == 4, failed(report)
    pages["whole"] = False
    code, _, err = index("s3://bucket/in", "--prune-all")
    assert (code, "the store refuses it (403); credentials: AWS_PROFILE" in err) == (1, True), err
    assert len(gallery()) == 4
    assert locations.Places(["s3://bucket/in"]).look("s3://bucket/in/disc/3.png", "3", "") is Place.UNKNOWN
    server.shutdown()


# --- a web server ----------------------------------------------------------------------------------------------------


def test_a_web_server_that_lists_its_files(web, address, index, gallery, photos):
    code, report, err = index(address)
    assert (code, report["items"], report["failed"]) == (0, 6, []), err
    assert names(gallery()) == ALL
    record = gallery().item_at("ring/é #5.png")
    assert record.uri == f"{web.url}/my%20photos/ring/%C3%A9%20%235.png"
    assert gallery().original(record) == (photos / "ring" / "é #5.png").read_bytes()
    web.asked.clear()
    assert index(address)[1]["skipped"] == 6
    assert [asked for asked in web.asked if asked[0] == "GET" and asked[1].endswith("png")] == []
    (photos / "disc" / "0.png").write_bytes(encoded(picture("signs/cross", 0)))
    assert index(address)[1]["added"] == 1
    assert index(f"{address}disc/1.png")[1]["added"] == 0


def test_each_refusal_is_named_and_nothing_is_lost(web, address, index, gallery, photos, monkeypatch):
    monkeypatch.setattr(stores, "TIMEOUT", 0.3)
    folder = "/my photos"
    web.faults = {
        f"GET {folder}/disc/0.png": "silent", f"{folder}/disc/1.png": "403", f"GET {folder}/disc/2.png": "404",
        f"GET {folder}/disc/3.png": "cut", f"GET {folder}/ring/é": "503",
    }  # fmt: skip
    code, report, _ = index(address)
    assert (code, report["items"]) == (0, 1)
    assert failed(report) == {
        "disc/0.png": "the store does not answer in time",
        "disc/1.png": "the store refuses it (403); credentials: the file .netrc",
        "disc/2.png": "not in the store, or not for these credentials (404)",
        "disc/3.png": "the store broke off while it was read",
        "ring/é #5.png": "the store answers with an error (503)",
    }  # fmt: skip
    web.faults = {f"GET {folder}/disc/0.png": "503 once", f"GET {folder}/disc/3.png": "cut once"}
    assert index(address)[1]["items"] == 6  # what was refused is tried again, and what may pass is waited for
    for at, fault in enumerate(("403", "503", "page", "moved", "silent")):
        web.faults = {f"{folder}/disc": fault}
        code, report, _ = index(address, "--prune-all")
        assert (code, report["removed"], len(gallery())) == (0, 0, 6), fault
        assert list(failed(report)) == ["disc"]
        assert failed(report)["disc"].startswith("folder that cannot be listed: "), at
    web.faults = {"HEAD ": "page"}  # a password form instead of each picture
    code, report, _ = index(address, "--prune-all")
    assert (code, report["removed"], len(failed(report))) == (0, 0, 6)
    assert failed(report)["disc/0.png"] == "a page comes in place of the file; what was indexed there before stays"
    web.faults = {"HEAD ": "405"}  # nothing is known of changes: all is read, nothing is new
    assert index(address)[1]["skipped"] == 6
    web.faults = {f"{folder}/": "page"}
    assert "its page lists nothing" in index(address, "--prune-all")[2]


@pytest.mark.parametrize("link", [
    lambda folder, name: f"{folder}{name}", lambda folder, name: f"{quote(folder)}{name}",
    lambda folder, name: f"{quote(folder).replace('m', '%6d')}{name}", lambda folder, name: name.replace("%20", " "),
])  # fmt: skip
def test_links_of_a_page_are_known_however_they_are_quoted(web, address, index, gallery, link):
    assert index(address)[1]["items"] == 6
    web.link = link
    code, report, _ = index(address, "--prune-all")
    assert (code, report["added"], report["skipped"], len(gallery())) == (0, 0, 6, 6)


def test_a_part_that_cannot_be_listed_ends_what_a_table_names(web, address, index, photos):
    (photos / "manifest.csv").write_text("path\ndisc/0.png\nring/unnamed\n")
    assert index(address)[1]["items"] == 2
    web.faults = {"/my photos/ring": "403"}
    code, _, err = index(address, "--prune-all")
    assert (code, "can be listed in part only" in err) == (1, True)


def test_a_store_that_falls_silent_ends_the_run_and_it_goes_on_later(web, address, index, gallery, photos, monkeypatch):
    monkeypatch.setattr(stores, "TIMEOUT", 0.2)
    monkeypatch.setattr("unifex.data.store_tree.MOST_SILENCES", 3)
    assert index(address)[1]["items"] == 6
    for view in range(20, 26):
        (photos / "disc" / f"{view}.png").write_bytes(encoded(picture("shapes/disc", view)))
    web.faults = {"GET /my photos/disc/2": "silent"}
    code, _, err = index(address, "--prune-all")
    assert (code, "went while it was being indexed" in err) == (1, True)
    assert (len(gallery()), len(gallery().unfinished())) == (6, 1)
    web.faults = {}
    assert index(address)[1]["items"] == 12


def test_it_reads_ahead(photos, index, monkeypatch):
    for view in range(40):
        (photos / "disc" / f"n{view}.bmp").write_bytes(encoded(picture("shapes/disc", view), "BMP"))
    with web_store.running(photos.parent, latency=0.1) as slow:
        assert index(f"{slow.url}/my photos")[1]["added"] >= 40
        assert slow.most >= 16


def test_what_is_held_ahead_is_bounded(monkeypatch):
    from unifex.data.item import Item

    monkeypatch.setattr("unifex.gallery.read_ahead.MOST_HELD", 10)
    read = []
    ahead = ReadAhead(2)
    items = [Item(str(n), str(n), lambda n=n: read.append(n) or bytes(8)) for n in range(6)]
    begun = ahead.begin(items)
    ahead._pool.shutdown(wait=True)
    assert len(read) < 6
    assert [item.read() for item in begun] == [bytes(8)] * 6
    assert (sorted(read), ahead._held) == (list(range(6)), 0)


# --- to another place ----------------------------------------------------------------------------------------------


@pytest.fixture
def relocate(tmp_path, capsys):
    """``relocate OLD NEW``: (exit code, report or None, what was said)."""

    def run(old: str, new: str | Path):
        capsys.readouterr()
        code = main(["relocate", old, str(new), "--gallery", "far", "--library", str(tmp_path / "lib"), "--json"])
        out = capsys.readouterr()
        return code, json.loads(out.out) if out.out else None, out.err

    return run


def ids(gallery: Gallery) -> dict[str, tuple[int, str]]:
    return {record.path: (record.id, record.label) for record in gallery.records(gallery.snapshot().columns.ids)}


def test_what_went_to_another_bucket_stays_the_same(s3, photos, index, gallery, relocate, monkeypatch):
    put(s3, photos, "old")
    assert index("s3://old/in")[1]["items"] == 6
    before = ids(gallery())
    s3.mkdir("new")
    for name in ALL:
        s3.cp_file(f"old/in/{name}", f"new/all/of it/{name}")
    s3.rm("old/in", recursive=True)
    code, report, err = relocate("S3://old/in/", "s3://new/all/of it/")
    assert (code, report and report["items"], report and report["sources"]) == (0, 6, 1), err
    assert ids(gallery()) == before
    assert [known.spec for known in gallery().sources()] == ["s3://new/all/of it"]
    record = gallery().item_at("ring/é #5.png")
    assert (record.uri, gallery().original(record)) == (
        "s3://new/all/of it/ring/é #5.png", (photos / "ring" / "é #5.png").read_bytes()
    )  # fmt: skip
    read, looked = stores.Connection._read_whole, []
    monkeypatch.setattr(stores.Connection, "_read_whole", lambda *asked: looked.append(asked[3]) or read(*asked))
    assert counted(index("s3://new/all/of it", "--prune")[1]) == (0, 6, 0, 0)
    assert None not in looked  # no image is read whole again


def counted(report: dict) -> tuple[int, ...]:
    return tuple(report[name] for name in ("added", "skipped", "removed", "moved"))


def test_from_disk_to_a_bucket_to_a_web_server_and_back(s3, web, photos, index, gallery, relocate, tmp_path):
    put(s3, photos, "between")
    (photos / "50%.png").write_bytes(encoded(picture("signs/cross", 1)))
    s3.pipe_file("between/in/50%.png", (photos / "50%.png").read_bytes())
    assert index(str(photos))[1]["items"] == 7
    before = ids(gallery())
    for old, new, uri in (
        (str(photos), "s3://between/in", "s3://between/in/ring/é #5.png"),
        ("s3://between/in", f"{web.url}/my photos", f"{web.url}/my%20photos/ring/%C3%A9%20%235.png"),
        (f"{web.url}/my photos", photos, f"{photos}/ring/é #5.png"),
    ):
        code, report, err = relocate(old, new)
        assert (code, report and report["items"]) == (0, 7), err
        assert (gallery().item_at("ring/é #5.png").uri, ids(gallery())) == (uri, before)
        assert counted(index(str(new), "--prune")[1]) == (0, 7, 0, 0)
        assert gallery().original(gallery().item_at("50%.png")) == (photos / "50%.png").read_bytes()


def test_a_place_of_a_store_that_is_not_the_new_one(s3, web, photos, index, gallery, relocate, monkeypatch):
    put(s3, photos, "here")
    assert index("s3://here/in")[1]["items"] == 6
    s3.mkdir("there")
    s3.mkdir("empty")
    s3.pipe_file("there/other/x.png", b"x")
    for at, name in enumerate(ALL):
        s3.pipe_file(f"there/others/{name}", encoded(picture("signs/cross", at)))
        if at < 2:
            s3.cp_file(f"here/in/{name}", f"there/few/{name}")
    monkeypatch.setitem(web.faults, "/my photos/disc", "403")
    for old, new, said in (
        ("s3://elsewhere", "s3://there/few", "has nothing from 's3://elsewhere' (but from 's3://here/in')"),
        ("s3://here/i", "s3://there/few", "has nothing from"),
        ("s3://here/in", "s3://there/other", "nothing of 's3://here/in' is at 's3://there/other'"),
        ("s3://here/in", "S3://here/in/", "'s3://here/in' is at 'S3://here/in/' already"),
        ("s3://here/in", "s3://there/few", "only 2 of the 6 items of 's3://here/in' are at 's3://there/few': copy the"),
        ("s3://here/in", "s3://there/others", "of 6 that were looked at, 0 are what was indexed"),
        ("s3://here/in", "s3://empty/in", "is empty, or cannot be seen with these credentials"),
        ("s3://here/in", "s3://nowhere/in", "'s3://nowhere/in' cannot be read: not in the store"),
        ("s3://here/in", f"{web.url}/my photos", "can be listed in part only: folder that cannot be listed: the store"),
        ("s3://here/in", f"s3://me:{SECRET}@there/few", "an address of s3:// with a user or a password in it"),
        ("s3://here/in", str(photos.parent / "nowhere"), "nothing of 's3://here/in' is at"),
    ):
        code, _, err = relocate(old, new)
        assert (code, said in err, SECRET in err) == (1, True, False), err
        assert [known.spec for known in gallery().sources()] == ["s3://here/in"]
        assert gallery().item_at("disc/0.png").uri == "s3://here/in/disc/0.png"


def test_a_store_that_refuses_to_be_looked_at_is_not_the_new_place(web, address, photos, index, gallery, relocate):
    assert index(str(photos))[1]["items"] == 6
    web.faults = {"GET /my photos/disc/0": "403"}
    code, _, err = relocate(str(photos), address)
    assert (code, "cannot be read: the store refuses it (403); credentials: the file .netrc" in err) == (1, True), err
    assert gallery().item_at("disc/0.png").uri == str(photos / "disc" / "0.png")


# --- WebDAV and the hub ----------------------------------------------------------------------------------------------


def test_a_webdav_folder_with_a_password_in_netrc(photos, index, gallery, tmp_path, monkeypatch):
    pytest.importorskip("webdav4")
    wsgi = pytest.importorskip("cheroot.wsgi")
    from wsgidav.wsgidav_app import WsgiDAVApp

    app = WsgiDAVApp({
        "provider_mapping": {"/dav": str(photos.parent)}, "logging": {"enable": False}, "verbose": 0,
        "simple_dc": {"user_mapping": {"*": {"me": {"password": SECRET}}}},
    })  # fmt: skip
    server = wsgi.Server(("127.0.0.1", 0), app, numthreads=20)
    server.prepare()
    Thread(target=server.serve, daemon=True).start()
    address = f"webdav://127.0.0.1:{server.bind_addr[1]}/dav/my photos"
    try:
        code, _, err = index(address)
        assert (code, "the store refuses it (401); credentials: the file .netrc" in err) == (1, True), err
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        stores._reach.cache_clear()
        code, report, err = index(address)
        assert code == 0, err
        assert (report["items"], report["failed"]) == (6, [])
        assert names(gallery()) == ALL
        record = gallery().item_at("ring/é #5.png")
        assert gallery().original(record) == (photos / "ring" / "é #5.png").read_bytes()
        (photos / "disc" / "0.png").write_bytes(encoded(picture("signs/cross", 0)))
        (photos / "disc" / "1.png").unlink()
        report = index(address, "--prune")[1]
        assert (report["added"], report["skipped"], report["removed"]) == (1, 4, 1)
    finally:
        server.stop()
    assert SECRET.encode() not in (tmp_path / "lib" / "far" / "items.sqlite").read_bytes()


@pytest.mark.parametrize("kind", ["datasets", "buckets"])
def test_the_hub(photos, index, gallery, tmp_path, monkeypatch, kind):
    shutil.copytree(photos, tmp_path / "hub" / kind / "someone" / "pictures")
    with stub_hub.running(tmp_path / "hub") as hub:
        files = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        code, report, err = index(f"hf://{kind}/someone/pictures/ring/")
        assert (code, report["items"], report["failed"]) == (0, 2, []), err
        assert gallery().original(gallery().item_at("é #5.png")) == (photos / "ring" / "é #5.png").read_bytes()
        assert index(f"hf://{kind}/someone/pictures/ring")[1]["skipped"] == 2
        code, _, err = index(f"hf://{kind}/someone/none")
        assert (code, "not in the store" in err) == (1, True), err


def test_google_cloud_storage(photos, index, gallery, monkeypatch):
    pytest.importorskip("gcsfs")
    files = {f"in/{path.relative_to(photos).as_posix()}": path for path in photos.rglob("*") if path.is_file()}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            _, media, name = unquote(urlsplit(self.path).path).partition("/o/")
            facts = {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in files.items()}
            listed = [{"name": name, "bucket": "b", "size": "9", "md5Hash": md5} for name, md5 in facts.items()]
            data = files[name].read_bytes() if media else json.dumps({"items": listed}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    code, report, err = index("gs://b/in")
    assert (code, report["items"], report["failed"]) == (0, 6, []), err
    assert names(gallery()) == ALL
    (photos / "disc" / "0.png").write_bytes(encoded(picture("signs/cross", 0)))
    report = index("gs://b/in")[1]
    assert (report["added"], report["skipped"]) == (1, 5)
    server.shutdown()


def test_what_is_missing_is_named_with_its_remedy(index, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = index("gs://bucket/in")
    assert (code, 'gs:// needs gcsfs: `pip install "unifex[stores]"`' in err) == (1, True)


def test_every_prefix_is_a_source():
    for prefix in stores.PREFIXES:
        with pytest.raises(SourceError, match="password"):
            open_source(f"{prefix}a:b@c/d")


def test_names_of_two_unicode_forms_are_two_files(tmp_path):
    names = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    found = [Entry(Node(f"p/{name}"), f"bucket/p/{name}", name, 3) for name in names]
    tree = StoreTree(found, lambda entry, first: entry.stamp.encode(), lambda name: f"s3://{name}")
    items = [item for item in TreeImages(tree, "s3://bucket", Options()) if isinstance(item, Item)]
    assert [(item.uri, item.read().decode()) for item in items] == [
        (f"s3://bucket/p/{name}", name) for name in sorted(names)
    ]
    (other,) = (name for name in names if name != names[0])
    assert StoreTree(found[:1], lambda entry, first: b"", str).find(f"p/{other}") == found[0].node
