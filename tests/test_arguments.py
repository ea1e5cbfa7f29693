"""What a command line may look like: options anywhere, and names of whatever bytes."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from unifex.cli.main import _parser, main
from unifex.cli.options import Parser
from unifex.gallery.bundle_file import is_bundle

NO_TEXT = os.fsdecode(b"bad\xff.png")
ITEM = "shapes/disc/0.png"


@pytest.fixture
def unifex(gallery, capsys):
    """Runs a command on a gallery: (exit code, stdout, stderr)."""

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        return (_code_of(command, "--library", str(gallery.folder.parent), *arguments), *capsys.readouterr())

    return run


def _code_of(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def _commands() -> dict[str, Parser]:
    (commands,) = (one for one in _parser()._actions if isinstance(one, argparse._SubParsersAction))
    return commands.choices


TEXTS = [
    (command, action.option_strings[0] if action.option_strings else action.dest)
    for command, parser in _commands().items()
    for action in parser._actions
    if action.type in (None, str) and action.nargs in (None, "?", "*", "+") and not action.choices
]


@pytest.mark.parametrize(("command", "name"), TEXTS)
def test_what_is_no_text_is_refused_wherever_a_text_is_meant(capsys, command, name):
    positional = [one for one in _commands()[command]._actions if not one.option_strings]
    given = ["x" if one.dest != name else NO_TEXT for one in positional]
    assert _code_of(command, *given, *([name, NO_TEXT] if name.startswith("-") else [])) == 2
    assert "'bad\ufffd.png' is not UTF-8; write an item's path as `search` shows it" in capsys.readouterr().err


@pytest.mark.parametrize("command", _commands())
def test_help_is_plain_text_without_links(unifex, command):
    code, said, _ = unifex(command, "--help")
    assert (code, "](" in said) == (0, False)


def test_a_file_is_read_and_written_under_a_name_of_any_bytes(unifex, folder, tmp_path):
    picture = next(folder.rglob("*.png"))
    picture.with_name(NO_TEXT).write_bytes(picture.read_bytes())
    code, told, _ = unifex("search", str(picture.with_name(NO_TEXT)), "--gallery", "drawn", "--json")
    assert (code, json.loads(told)["results"][0]["query"]) == (0, str(picture.with_name(NO_TEXT)))
    out = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    for command in (
        "pack drawn --out OUT.zip",
        "export-gallery drawn --to csv --out OUT.csv",
        "correct drawn --out OUT.corrections.csv",
    ):
        assert unifex(*command.replace("OUT", out).split(" "))[0] == 0
    assert unifex("unpack", f"{out}.zip", "--gallery", "again")[0] == 0
    code, _, told = unifex("search", f"{out}.png", "--gallery", "drawn")
    assert (code, "No such file" in told) == (1, True)


@pytest.mark.parametrize(
    "command",
    [
        "tag drawn best ITEM --remove --json",
        "tag drawn --remove best ITEM --json",
        "tag drawn --remove best --json ITEM",
        "tag --json --remove drawn best ITEM",
        "tag --json drawn --remove -- best ITEM",
        "tag drawn best --json -- ITEM --remove",
    ],
)
def test_options_stand_anywhere(unifex, command):
    assert unifex("tag", "drawn", "best", ITEM)[0] == 0
    *_, word = words = command.replace("ITEM", ITEM).split()
    if word == "--remove":  # behind -- it is the path of an item
        code, _, told = unifex(*words)
        assert (code, "has no item '--remove'" in told) == (1, True)
        return
    code, told, _ = unifex(*words)
    assert (code, json.loads(told)["tags"]) == (0, {})


def test_options_of_every_command_stand_between_its_arguments(unifex, folder):
    picture = str(folder / ITEM)
    assert len(json.loads(unifex("search", picture, "--gallery", "drawn", picture, "--json")[1])["results"]) == 2
    assert len(json.loads(unifex("search", "-k1", picture, "--gal", "drawn", "--json")[1])["results"][0]["hits"]) == 1
    assert "no item 'x', 'y'" in unifex("remove", "drawn", "x", "--json", "y")[2]
    assert "no saved search 'x'" in unifex("saved", "drawn", "--json", "x")[2]
    assert "x" in unifex("use", "drawn", "--json", "x")[2]
    at, into = str(folder), ("--gallery", "drawn", "--json")
    for words in (
        (at, "--frames", "every", "2", *into), (*into, "--frames", "every", "2", at), (*into, "--frames", "scenes", at),
        ("--frames", "every", ".5", at, *into), ("--frames", "scenes", *into, "--", at),
    ):  # fmt: skip
        code, told, _ = unifex("index", *words)
        assert (code, json.loads(told)["added"]) == (0, 0), words
    assert "frames 'every' is neither" in unifex("index", *into, "--frames", "every", at)[2]
    code, _, told = unifex("info", "drawn", "--nosuch", "x")
    assert (code, "there is no option --nosuch " in told) == (2, True)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("index FOLDER --gallery drawn --poll --quiet 3", "--poll, --quiet: this is for --watch"),
        ("index --from-embeddings OUT --gallery new --watch --prune", "--watch, --prune: this is for a source"),
        ("clip OUT --gallery new --features", "--features: this is for --write"),
        ("clip OUT --gallery drawn --write --images OUT", "--images: this is for reading"),
        ("embed FOLDER --out OUT --address x", "--address: this is for --engine ray"),
        ("embed FOLDER --out OUT --engine ray --extra", "--extra: this is for --engine local"),
        ("train --gallery drawn --save x --preset best --config OUT", "--preset: --config says the recipe"),
        ("saved drawn x --rename y --delete", "--delete: a saved search is renamed or deleted, not both"),
    ],
)
def test_options_that_would_do_nothing_are_refused(unifex, folder, tmp_path, command, told):
    out = tmp_path / "out"
    words = [str({"FOLDER": folder, "OUT": out}.get(word, word)) for word in command.split()]
    code, _, err = unifex(*words)
    assert (code, told in err, out.exists()) == (2, True, False), err


WRITTEN = {  # command, and which names it takes beside those without an ending
    "embed FOLDER --out OUT": (".npz",),
    "pack drawn --out OUT": (".zip",),
    "map --gallery drawn --out OUT": (".html",),
    "search PICTURE --gallery drawn --out OUT": (".html", ".htm"),
    "duplicates --gallery drawn --out OUT": (".html",),
    "duplicates --gallery drawn --csv OUT": (".csv", ".CSV"),
    "correct drawn --out OUT": (".csv",),
    "curate FOLDER --min-images 1 --out OUT": (".csv",),
    "export-gallery drawn --to csv --out OUT": (".csv",),
    "export-gallery drawn --to html --out OUT": (".html",),
    "export-gallery drawn --to coco --out OUT": ("", ".2024"),
    "export-gallery drawn --to atlas --out OUT": (".parquet",),
    "export --format torchscript --out OUT": (".pt",),
    "export --format safetensors --out OUT": ("", ".v2"),
}


@pytest.mark.parametrize("command", WRITTEN)
def test_what_is_written_is_called_what_it_is(unifex, folder, tmp_path, command):
    taken = WRITTEN[command]
    words = [{"FOLDER": str(folder), "PICTURE": str(folder / ITEM)}.get(word, word) for word in command.split()]
    for number, ending in enumerate((".csv", ".html", ".tar", ".npz", ".json", ".png", ".jpg", ".txt", "", *taken)):
        out = tmp_path / f"folder{number}" / f"made{number}{ending}"  # which need not be there
        code, _, told = unifex(*[str(out) if word == "OUT" else word for word in words])
        if not ending or ending in taken:
            written = out if ending in taken else out.with_name(f"{out.name}{taken[0]}")
            assert (code, written.exists()) == (0, True), (out, told)
        else:
            assert (code, out.parent.exists()) == (2, False), out
            assert f"'made{number}{ending}' is no name for what is written, " in told
            assert f"call it made{number}{taken[0]}" in told


@pytest.mark.parametrize("given", ["", " "])
@pytest.mark.parametrize("command", _commands())
def test_a_gallery_without_a_name_is_wrong_usage(unifex, folder, tmp_path, command, given):
    """As a script leaves it whose variable is not set."""
    parser = _commands()[command]
    if all(action.dest != "gallery" for action in parser._actions):
        return
    there, laid = str(folder), tmp_path / "laid"
    assert unifex("clip", str(laid), "--gallery", "drawn", "--write")[0] == 0
    more = {
        "search": ["--item", ITEM], "export-gallery": ["--to", "csv"], "train": ["--save", "x"], "clip": [str(laid)],
        "index": [there], "unpack": [f"{there}.zip"], "forget": [there], "relocate": [there, there],
        "store": ["faiss"], "remove": [ITEM],
    }.get(command, [])  # fmt: skip
    if any(action.dest == "out" and action.required for action in parser._actions):
        more += ["--out", str(tmp_path / "made")]
    named = next(action for action in parser._actions if action.dest == "gallery")
    words = [command, *(["--gallery", given] if named.option_strings else [given]), *more]
    code, said, told = unifex(*words)
    assert (code, said) == (2, ""), told
    assert "give the name of a gallery (there are: drawn)" in told


def test_names_that_share_one_letter_are_not_alike(unifex, gallery):
    for name in ("w", "p", "few", *"abcdefgh"):
        shutil.copytree(gallery.folder, gallery.folder.with_name(name))
    assert "no gallery 'few0' here (alike: few; 12 in all)" in unifex("info", "few0")[2]
    assert "no gallery 'nope' here (there are: a, b, " in unifex("info", "nope")[2]


def test_a_preset_for_few_labels_is_not_told_where_there_are_none(unifex, gallery, folder, tmp_path):
    shutil.copy(folder / ITEM, tmp_path / "flat.png")
    assert unifex("index", str(tmp_path / "flat.png"), "--gallery", "flat")[0] == 0
    code, said, told = unifex("train", "--gallery", "flat", "--save", "mine")
    assert (code, said, "label" in told) == (1, "", True)


def test_a_name_that_a_script_leaves_empty_is_refused(unifex, gallery):
    assert unifex("search", "--item", ITEM, "--gallery", "drawn", "--save", "one")[0] == 0
    code, _, told = unifex("saved", "drawn", "one", "--rename", "")
    assert (code, "give the search a name" in told) == (1, True)
    code, _, told = unifex("use", "drawn", "unifex-lite-4", "--as", "")
    assert (code, "'' cannot name a gallery" in told) == (1, True)


def test_what_images_were_read_from_stays(unifex, folder, tmp_path):
    table, packed = tmp_path / "table.csv", tmp_path / "pictures.zip"
    table.write_text(f"path,label\n{folder / ITEM},mine\n")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(folder / ITEM, "disc/0.png")
    for source in (table, packed):
        assert unifex("index", str(source), "--gallery", "drawn")[0] == 0
    before = table.read_bytes(), packed.read_bytes()
    for command in (
        ["curate", str(table), "--min-images", "1", "--out", str(table)],
        ["correct", "drawn", "--out", str(table)],
        ["duplicates", "--gallery", "drawn", "--csv", str(table)],
        ["export-gallery", "drawn", "--to", "csv", "--replace", "--out", str(table)],
        ["pack", "drawn", "--out", str(packed)],
        ["search", str(folder / ITEM), "--gallery", "drawn", "--out", str(folder / ITEM)],
    ):
        code, _, told = unifex(*command)
        assert (code > 0, (table.read_bytes(), packed.read_bytes())) == (True, before), command
        assert "is what images are read from, and it stays" in told or "is no name for what is written" in told
    assert (folder / ITEM).read_bytes().startswith(b"\x89PNG")


def test_what_another_gallery_was_made_from_stays(unifex, folder, tmp_path):
    table, other = tmp_path / "own.csv", tmp_path / "keep.zip"
    table.write_text(f"path,label\n{folder / ITEM},mine\n")
    assert unifex("index", str(table), "--gallery", "other")[0] == 0
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("notes.txt", "mine")
    before = table.read_bytes(), other.read_bytes()
    for command in (
        ["curate", str(folder), "--min-images", "1", "--out", str(table)],
        ["correct", "drawn", "--out", str(table)],
        ["duplicates", "--gallery", "drawn", "--csv", str(table)],
        ["export-gallery", "drawn", "--to", "csv", "--replace", "--out", str(table)],
    ):
        code, _, told = unifex(*command)
        assert (code, "is what images are read from, and it stays" in told) == (1, True), command
    code, _, told = unifex("pack", "drawn", "--out", str(other))
    assert (code, "is no packed gallery, so it stays; name another" in told) == (1, True), told
    assert (table.read_bytes(), other.read_bytes()) == before
    for _ in range(2):  # an earlier pack is no loss
        assert unifex("pack", "drawn", "--out", str(tmp_path / "packed.zip"))[0] == 0


def test_an_export_that_a_gallery_is_made_from_stays(unifex, tmp_path):
    out = ["--out", str(tmp_path / "out" / "pictures")]
    assert unifex("export-gallery", "drawn", "--to", "files", *out)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    assert unifex("index", *out[1:], "--gallery", "other")[0] == 0
    for again in (out, ["--out", str(tmp_path / "out")]):
        code, _, told = unifex("export-gallery", "drawn", "--to", "files", "--replace", *again)
        assert (code, "is what images are read from, and it stays" in told) == (1, True)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")} == before


@pytest.mark.parametrize("below", ["", "shapes"])
def test_what_tells_the_labels_of_images_beside_it_stays(unifex, folder, tmp_path, below):
    assert unifex("index", str(folder), "--gallery", "drawn")[0] == 0
    for name in ("metadata.csv", "manifest.csv", "notes.csv"):
        out = folder / below / name
        for command in (
            ["curate", str(folder), "--min-images", "1"],
            ["correct", "drawn"],
            ["export-gallery", "drawn", "--to", "csv", "--replace"],
        ):
            out.write_text("file_name,label\n")
            code, _, told = unifex(*command, "--out", str(out))
            if name == "notes.csv":  # which nobody reads
                assert (code, "is nothing that this writes" in told) == (
                    (0, False) if "--replace" in command else (1, True)
                )
            else:
                assert (code > 0, out.read_text()) == (True, "file_name,label\n"), command
                assert "may tell their labels, and stays" in told
        out.unlink()


def test_what_was_written_before_is_written_anew(unifex, tmp_path):
    for _ in range(2):
        assert unifex("correct", "drawn", "--out", str(tmp_path / "said"))[0] == 0
    assert [path.name for path in tmp_path.glob("said*")] == ["said.csv"]


def test_a_link_to_what_is_written_stays(unifex, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "table.csv")
    for _ in range(2):
        out = ["--out", str(tmp_path / "link.csv")]
        assert unifex("export-gallery", "drawn", "--to", "csv", "--replace", *out)[0] == 0
        assert unifex("correct", "drawn", "--out", str(tmp_path / "said.csv"))[0] == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "table.csv").read_text("utf-8-sig").startswith("path,label,")


@pytest.mark.parametrize(
    "command",
    [("use", "drawn", ""), ("store", "drawn", ""), ("clip", "", "--gallery", "drawn", "--write"),
     ("train", "--gallery", "drawn", "--save", "../../evil", "--preset", "quick")],
)  # fmt: skip
def test_what_names_nothing_or_leads_elsewhere_is_refused(unifex, command):
    assert unifex(*command)[0] > 0


def test_a_saved_search_is_told_with_the_command_that_runs_it(unifex, folder):
    _, told, _ = unifex("search", str(folder / ITEM), "--gallery", "drawn", "--save", "red cars")
    assert "saved drawn 'red cars'` runs it again" in told


def test_a_folder_called_as_a_home_is_there(unifex, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "here/~nobody")
    monkeypatch.chdir(tmp_path / "here")
    for spec in ("~nobody", "./~nobody"):
        assert unifex("index", spec, "--gallery", "homes")[0] == 0
    code, _, told = unifex("index", "~nobody/else", "--gallery", "homes")
    assert (code, "does not exist" in told) == (1, True)


def test_a_device_is_no_packed_gallery():
    assert not is_bundle(Path("/dev/zero"))
