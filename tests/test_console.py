"""Consoles of any encoding, readers that go away, and whatever people type for a number or a name."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest

from tests.support.serving import ROOT
from unifex.cli.main import main
from unifex.core import console
from unifex.core.progress import Step
from unifex.core.text import what_there_is
from unifex.gallery import indexing
from unifex.gallery.gallery import Gallery
from unifex.gallery.writer import Writer

NAMES = ["Bäume", "日本"]


@pytest.fixture(scope="module")
def galleries(tmp_path_factory, embedder):
    folder = tmp_path_factory.mktemp("console") / "indexes"
    for name in NAMES:
        Gallery.create(folder / name, embedder)
    return folder


def started(*arguments, **options) -> subprocess.Popen:
    environment = {**os.environ, **options.pop("environment", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "unifex", *map(str, arguments)], cwd=ROOT, env=environment, **options
    )


def work():
    yield Step("reading", 0, 2000, "images", note="0 added")
    yield Step("reading", 1000, 2000, "images", 60, "1,000 added")
    yield Step("reading", 2000, 2000, "images", 0, "2,000 added")
    yield Step("measuring", 1, 2)
    return "result"


def test_a_log_file_is_told_how_each_stage_begins_and_ends(capsys):
    assert console.watched(work()) == "result"
    told = ["reading: 0 of 2,000 images · 0 added", "reading: 2,000 of 2,000 images · 2,000 added"]
    assert capsys.readouterr().err.splitlines() == told


def test_a_terminal_is_told_every_step_in_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    console.watched(work())
    whole = capsys.readouterr().err
    assert "\rreading: 1,000 of 2,000 images · 1,000 added · 1 min 0 s left" in whole
    lines = [line.rpartition("\r")[2].strip() for line in whole.split("\n")]
    assert lines == ["reading: 2,000 of 2,000 images · 2,000 added", "measuring: 1 of 2", ""]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_every_console_prints_every_name(galleries, encoding):
    environment = {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "environment": environment}
    as_json = started("galleries", "--library", galleries, "--json", **both)
    as_text = started("info", "Bäume\udce9", "--library", galleries, **both)  # which is not UTF-8
    found, errors = as_json.communicate()
    assert (as_json.returncode, errors) == (0, b"")
    assert [gallery["name"] for gallery in json.loads(found.decode(encoding))["galleries"]] == NAMES
    _, errors = as_text.communicate()
    assert as_text.returncode == 2
    assert errors.startswith(b"python -m unifex info: ")
    assert errors.count(b"\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_reader_that_has_gone_ends_it_quietly(galleries, json_too, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    options = {"stdout": writer, "stderr": subprocess.PIPE, "environment": {"PYTHONUNBUFFERED": unbuffered}}
    run = started("galleries", "--library", galleries, *json_too, **options)
    os.close(writer)
    assert run.communicate()[1] == b""
    assert run.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_what_cannot_be_written_is_a_sentence(galleries):
    with open("/dev/full", "wb") as full:
        run = started("galleries", "--library", galleries, stdout=full, stderr=subprocess.PIPE)
        assert run.communicate()[1] == b"unifex: the disk is full; make room and do it again\n"
    assert run.returncode == 1


def test_ctrl_c_may_come_while_it_is_imported():
    program = (
        "import runpy, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'unifex.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "runpy.run_module('unifex', run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert (run.returncode, run.stderr) == (130, b"\nunifex: stopped; nothing was begun\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "x.png", "--gallery", "Bäume", "--domain", "moon"], "no domain 'moon' in gallery 'Bäume'"),
        (["search", "https://example.org/x.png", "--gallery", "Bäume"], "is an address, and nothing is fetched"),
        (["search", ".", "--gallery", "Bäume"], "'.' is a folder: give images of it"),
        (["search", "tests/support/serving.py", "--gallery", "Bäume"], "tests/support/serving.py: not an image"),
        (["search", "nosuch.png", "--gallery", "Bäume"], "No such file or directory (nosuch.png)"),
        (["search", "x.png", "--gallery", "Baume"], "no gallery 'Baume' here (there are: Bäume, 日本)"),
        (["import", "hf:", "--save", "m"], "'' is no repository of the hub: give OWNER/NAME"),
        (["index", "m4d:.?least=few", "--gallery", "new"], "all but sets and domains are whole numbers"),
        (["index", "--gallery", "new", "--from-embeddings", "tests"], "is not in clip-retrieval's layout"),
        (["datasets", "--data", "nosuch"], "there is no folder 'nosuch'"),
        (["embed", "", "--out", "nosuch/e.npz"], "nothing is named: give a folder"),
        (["clip", "nosuch", "--gallery", "Bäume", "--write", "--dim", "63"], "no 63-d embedding; this model has 64"),
        (["unpack", "nosuch.zip", "--gallery", "new"], "can be used: No such file or directory (nosuch.zip)"),
        (["unpack", "hf:", "--gallery", "new"], "'' is no repository of the hub"),
        (["pack", "Bäume", "--out", "hf:a b"], "'a b' is no repository of the hub"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(galleries, arguments, sentence, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main([*arguments, "--library", str(galleries)]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in galleries.glob("[!.]*/gallery.json")) == ["gallery.json"] * len(NAMES)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "x.png", "--gallery", "Bäume", "--min-score", "2"], "the least similarity must be -1.0 to 1.0"),
        (["search", "x.png", "--gallery", "Bäume", "--min-score", "nan"], "the least similarity must be -1.0 to 1.0"),
        (["search", "x.png", "--gallery", "Bäume", "--dim", "0"], "the length of the embeddings must be a whole"),
        (["search", "x.png", "--gallery", "Bäume", "--dim=-1"], "the length of the embeddings must be a whole"),
        (["search", "x.png", "--gallery", "Bäume", "-k", "0"], "k must be a whole number, 1 to 1000 hits, not '0'"),
        (["search", "x.png", "--gallery", "Bäume", "--false-accept-rate", "0"], "the share of false accepts must be"),
        (["search", "x.png", "--gallery", "Bäume", "--text-weight", "inf"], "the balance must be 0.0 to 1.0"),
        (["evaluate", "--gallery", "Bäume", "--seed=-1"], "the seed must be a whole number"),
        (["train", "--gallery", "Bäume", "--save", "m", "--hold-out", "nan"], "the share of classes to hold out must"),
        (["curate", "x", "--out", "c.csv", "--min-images", "0"], "the least number of images of a class must"),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_is_wrong_usage(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert sentence in said


@pytest.mark.parametrize("option", ["--out=", "--out= "])
@pytest.mark.parametrize("command", [["map", "--gallery", "Bäume"], ["embed", "x"], ["export"], ["pack", "Bäume"]])
def test_nothing_is_written_to_no_name(command, option):
    with pytest.raises(SystemExit) as stopped:
        main([*command, option])
    assert stopped.value.code == 2


def test_of_many_names_those_alike_are_told():
    assert what_there_is(["b", "", "a"]) == "there are: b, a"
    assert what_there_is([]) == "there are: none"
    told = what_there_is([f"holiday {year}" for year in range(1900, 2026)], "holidy 2024")
    assert told.startswith("alike: holiday 2024, ")
    assert told.endswith("; 126 in all")
    told = what_there_is([f"holiday {year}" for year in range(1900, 2026)], "xyz")
    assert told.startswith("there are: holiday 1900, ")
    assert told.endswith(" …; 126 in all")


def pressing_ctrl_c(monkeypatch, owner, name):
    """Whenever this is called, somebody presses Ctrl+C first."""
    called = getattr(owner, name)

    def pressed(*arguments, **named):
        signal.raise_signal(signal.SIGINT)
        return called(*arguments, **named)

    monkeypatch.setattr(owner, name, pressed)


def test_ctrl_c_pressed_again_and_again_keeps_what_was_done(folder, tmp_path, capsys, monkeypatch):
    pressing_ctrl_c(monkeypatch, indexing._Run, "check_still_there")  # all is read
    pressing_ctrl_c(monkeypatch, indexing._Run, "stop")
    pressing_ctrl_c(monkeypatch, Writer, "tidy")
    pressing_ctrl_c(monkeypatch, Writer, "close")
    command = ["index", str(folder), "--gallery", "drawn", "--library", str(tmp_path / "indexes")]
    assert main(command) == 130
    assert capsys.readouterr().err.endswith(f"\nunifex: stopped; {console.KEPT}\n")
    gallery = Gallery.open(tmp_path / "indexes/drawn")
    assert len(gallery) == 24
    assert gallery.database.checksum()  # it was closed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "command", [["map", "--out", "map.html"], ["export-gallery", "--to", "csv", "--out", "o.csv"], ["evaluate"]]
)
def test_what_keeps_nothing_when_it_is_stopped_says_so(gallery, tmp_path, capsys, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    pressing_ctrl_c(monkeypatch, console._StepLine, "show")
    named = ["drawn"] if command[0] == "export-gallery" else ["--gallery", "drawn"]
    assert main([*command, *named, "--library", str(gallery.folder.parent)]) == 130
    assert capsys.readouterr().err == "\nunifex: stopped; nothing is left half done, the same command begins anew\n"
    assert sorted(os.listdir(tmp_path)) == ["indexes", "pictures"]


@pytest.mark.skipif(os.name == "nt", reason="shells close streams there in no such way")
@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_a_shell_closed_are_done_without(folder, tmp_path, closed):
    command = [sys.executable, "-m", "unifex", "index", folder, "--gallery", "drawn", "--library", tmp_path / "indexes"]
    run = subprocess.run(f"{shlex.join(map(str, command))} --json {closed}", shell=True, cwd=ROOT, capture_output=True)
    assert run.returncode == 0
    if ">&-" not in closed.replace("2>&-", ""):
        assert json.loads(run.stdout)["added"] == 24
    assert len(Gallery.open(tmp_path / "indexes/drawn")) == 24


SLOW = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` has it ignored, and so it stays then
from unifex.__main__ import commands
from unifex.exports.targets import Folder
Folder.add = lambda *_: (print("begun", flush=True), time.sleep(60))
sys.exit(commands())
"""


def begun_export(gallery, out, stderr=subprocess.PIPE) -> subprocess.Popen:
    """One that goes on until it is killed."""
    command = ["export-gallery", "drawn", "--to", "files", "--out", out, "--library", gallery.folder.parent]
    run = subprocess.Popen([sys.executable, "-c", SLOW, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr)
    assert run.stdout.readline() == b"begun\n"
    assert len(list(out.parent.iterdir())) == 1
    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_killed_clears_away_as_after_ctrl_c(gallery, tmp_path, number):
    """What ``timeout`` and a service manager send."""
    run = begun_export(gallery, out := tmp_path / "out/files")
    run.send_signal(number)
    told = run.communicate(timeout=60)[1].decode()
    assert (run.returncode, "unifex: stopped; nothing is left half done" in told) == (128 + number, True), told
    assert list(out.parent.iterdir()) == []


def test_a_command_whose_terminal_is_closed_does_so_too(gallery, tmp_path):
    """To which nothing can be said any more."""
    terminal, its_end = os.openpty()
    run = begun_export(gallery, out := tmp_path / "out/files", its_end)
    os.close(its_end)
    os.close(terminal)
    run.send_signal(signal.SIGHUP)
    run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGHUP
    assert list(out.parent.iterdir()) == []
