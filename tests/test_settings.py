"""Every wrong setting is one sentence before anything heavy is loaded; whatever proxy is set, the page is served."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from unittest import mock

import pytest

from tests.support.serving import ROOT, serve
from unifex.cli import options
from unifex.cli.main import _parser, main
from unifex.cli.settings import read_settings
from unifex.core import address, proxies, ranges
from unifex.core.errors import UnifexError
from unifex.gallery.gallery import Gallery
from unifex.models.hub import HubError, check_reachable

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIFEX_LIBRARY", str(tmp_path / "indexes"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"x")


WRONG = [
    (["--port", "99999"], "the port must be a whole number, 0 to 65535"),
    (["--port", "-1"], "the port must be"),
    (["--port", "http"], "argument --port: the port must be a whole number, 0 to 65535"),
    (["--auth", "name"], "argument --auth: must be USER:PASSWORD"),
    (["--auth", "name:"], "argument --auth: must be USER:PASSWORD"),
    (["--auth", ":secret"], "argument --auth: must be USER:PASSWORD"),
    (["--auth", ""], "argument --auth: must be USER:PASSWORD"),
    (["--host", "nowhere.invalid"], "--host 'nowhere.invalid': host 'nowhere.invalid' is not known"),
    (["--host", "http://localhost"], "host 'http://localhost' is not known"),
    (["--host", ""], "host '' is not known"),
    (["--host", "192.0.2.1"], "host '192.0.2.1' is not this computer"),
    (["--host", "2001:db8::1"], "host '2001:db8::1' is not this computer"),
    (["--library", "file"], "--library 'file': this is no folder to write in"),
    (["--library", "file/below"], "--library 'file/below': this is no folder to write in"),
    (
        ["--model", "nosuch"],
        "--model 'nosuch': no model 'nosuch'; there are: unifex-base, unifex-base-2, unifex-base-3, unifex-lite",
    ),
    (["--model", "raw:nosuch"], "no backbone 'nosuch'"),
    (
        ["--gallery", "nosuch"],
        "--gallery 'nosuch': no gallery (there are: none), and no images: 'nosuch' does not exist",
    ),
    (["--gallery", "file"], "'file' is no source of images"),
    (["--data", "nosuch"], "--data 'nosuch': there is no such folder"),
    (["--visitor-hours", "nan"], "the time after which a visitor's data is deleted must be 0.001 to"),
    (["--visitor-minutes", "inf"], "a training's time must be 0.01 to"),
    (["--rate", "0"], "a visitor's requests must be a whole number, 1 to"),
    (["--prot", "1"], "there is no option --prot, but --port"),
    (["--port", "99999"], "argument --port: the port must be a whole number"),
    (["--language", "xx"], "argument --language: no language 'xx'"),
    (["--nosuch"], "there is no option --nosuch"),
]


def said_when_refused(arguments, capsys) -> str:
    """What Python prints when the settings end it."""
    with pytest.raises(SystemExit) as stopped:
        read_settings(arguments)
    message = stopped.value.code if isinstance(stopped.value.code, str) else ""
    return capsys.readouterr().err + message


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_a_wrong_option_is_one_sentence(arguments, sentence, capsys):
    said = said_when_refused(arguments, capsys).strip()
    assert sentence in said
    assert said.startswith("python app.py: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "many"), ("PUBLIC", "perhaps"), ("AUTH", "me"), ("RATE", "-3"), ("VISITOR_IMAGES", "1e3"),
     ("HOST", "nowhere.invalid"), ("MODEL", "nosuch"), ("ENGINE", "warp"), ("GALLERY", "nosuch"), ("LIBRARY", "file")],
)  # fmt: skip
def test_a_wrong_variable_is_named(variable, value, monkeypatch, capsys):
    monkeypatch.setenv(f"UNIFEX_{variable}", value)
    assert f"UNIFEX_{variable}='{value}': " in said_when_refused([], capsys)


def test_nothing_heavy_is_loaded_for_it():
    probe = (
        "import sys\nfrom unifex.cli.settings import read_settings\n"
        "try: read_settings(['--gallery', 'nosuch'])\n"
        "except SystemExit: print({'torch', 'gradio', 'faiss', 'openvino', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_variables_that_are_set_to_nothing_are_left_out(monkeypatch):
    for name in ("PORT", "PUBLIC", "AUTH", "MODEL", "GALLERY", "DATA"):
        monkeypatch.setenv(f"UNIFEX_{name}", "")
    settings = read_settings(["--port", "0"])
    assert (settings.public, settings.auth, settings.model) == (False, None, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"])
def test_a_port_that_is_taken_is_passed_by(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with taken:
        port = taken.getsockname()[1]
        assert address.free_port(host, port) in range(port + 1, port + address.PORTS_TRIED)


def test_ports_are_told_apart(monkeypatch):
    with monkeypatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as taken:
        patch.setattr(address, "PORTS_TRIED", 1)
        with pytest.raises(UnifexError, match="all taken"):
            address.free_port("127.0.0.1", taken.getsockname()[1])
    assert address.free_port("127.0.0.1", 0) > 0
    monkeypatch.setattr(address, "_bound", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(UnifexError, match="port 80 is for administrators"):
        address.free_port("127.0.0.1", 80)


def test_a_name_of_which_one_address_is_switched_off_is_served_at_the_other(monkeypatch):
    monkeypatch.setattr(address, "addresses", lambda host: ["2001:db8::1", "127.0.0.1"])
    assert address.served_at("localhost") == "127.0.0.1"
    monkeypatch.setattr(address, "addresses", lambda host: ["127.0.0.1"])
    assert address.served_at("localhost") == "localhost"


@pytest.mark.parametrize(("host", "others"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("::", True)])
def test_who_can_come(host, others):
    assert address.is_open(host) == others


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-1", "0", "1e400", "9" * 5000, "", "many", None, [], 2.5, float("nan")]
)
def test_no_number_gets_past_its_range(value):
    with pytest.raises(UnifexError, match="k must be a whole number, 1 to 1000 hits, not "):
        ranges.HITS.check(value)


def test_numbers_keep_their_kind():
    assert ranges.HITS.check(10.0) == 10
    assert isinstance(ranges.HITS.check("10"), int)
    assert ranges.SIMILARITY.check(1) == 1.0


OFFICE = {
    "HTTP_PROXY": NOWHERE,
    "https_proxy": NOWHERE,
    "ALL_PROXY": "socks4://127.0.0.1:9",  # of a kind that no client here knows
    "NO_PROXY": "example.org",
}


def test_whatever_proxy_is_set_the_page_is_served(tmp_path, embedder):
    Gallery.create(tmp_path / "indexes" / "none", embedder)  # so that no demo is drawn
    with serve(tmp_path / "indexes", "--host", "::1", environment=OFFICE, anew=True) as server:
        past_proxies = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert b"gradio" in past_proxies.open(server.url, timeout=10).read()


def test_downloads_go_through_the_proxy_and_the_own_page_does_not(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    office = {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "intranet.example"}
    with mock.patch.dict(os.environ, office, clear=True):
        with proxies.asking_oneself("192.168.0.7"):
            found = urllib.request.getproxies()
        assert found["https"] == "http://proxy.example:3128"
        assert found["no"].split(",") == ["intranet.example", "localhost", "127.0.0.1", "::1", "192.168.0.7"]
        check_reachable("weights")  # the proxy will tell
        os.environ["ALL_PROXY"] = "socks4://127.0.0.1:9"
        with pytest.raises(HubError, match="the proxy that the environment names cannot be used"):
            check_reachable("weights")


@pytest.fixture
def _untold():
    options._tell.cache_clear()
    yield
    options._tell.cache_clear()


@pytest.mark.usefixtures("_untold")
def test_an_old_name_of_an_option_works_and_says_the_new_one(tmp_path, monkeypatch, capsys):
    assert main(["galleries", "--indexes", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"galleries": []}
    assert captured.err == "unifex: --indexes is called --library now\n"
    assert read_settings([f"--indexes={tmp_path}"]).library == tmp_path
    monkeypatch.delenv("UNIFEX_LIBRARY", raising=False)
    monkeypatch.setenv("UNIFEX_INDEXES", str(tmp_path / "old"))
    assert read_settings([]).library == tmp_path / "old"
    assert capsys.readouterr().err == "unifex: UNIFEX_INDEXES is called UNIFEX_LIBRARY now\n"
    monkeypatch.setenv("UNIFEX_LIBRARY", str(tmp_path / "new"))
    assert read_settings([]).library == tmp_path / "new"


def test_every_new_name_is_an_option_of_a_command_and_no_old_one_is():
    commands = _parser()._subparsers._group_actions[0].choices.values()
    known = {option for command in commands for option in command._option_string_actions}
    assert set(options.RENAMED.values()) <= known
    assert not set(options.RENAMED) & known
