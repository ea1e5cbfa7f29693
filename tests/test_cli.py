import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unifex as unifex_package
from tests.support.drawing import encoded, picture
from tests.support.galleries import BUNDLED
from unifex.cli.main import main


@pytest.fixture
def unifex(tmp_path, monkeypatch, capsys):
    """Runs a command in this process: (exit code, JSON or text on stdout, stderr)."""
    monkeypatch.setenv("UNIFEX_LIBRARY", str(tmp_path / "indexes"))

    def run(*arguments: str):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments and out else out, err

    return run


@pytest.fixture
def built(unifex, folder):
    code, report, _ = unifex("index", folder, "--gallery", "drawn", "--json")
    assert code == 0
    return report


def test_index(built, unifex, folder):
    assert {name: built[name] for name in ("gallery", "items", "added", "skipped", "removed", "failed")} == {
        "gallery": "drawn", "items": 24, "added": 24, "skipped": 0, "removed": 0, "failed": [],
    }  # fmt: skip
    assert built["seconds"] > 0
    (folder / "bad.jpg").write_bytes(b"")
    _, again, _ = unifex("index", folder, "--gallery", "drawn", "--json")
    assert (again["added"], again["skipped"]) == (0, 24)
    assert again["failed"] == [{"path": "bad.jpg", "reason": "empty file (0 bytes)"}]
    code, text, _ = unifex("index", folder, "--gallery", "drawn")
    assert code == 0
    assert "24 items, 0 added, 24 unchanged" in text
    assert "bad.jpg: empty file" in text


def test_evaluate(built, unifex):
    code, answer, _ = unifex("evaluate", "--gallery", "drawn", "--rerank", "--compare", "raw", "--labels", "--json")
    assert code == 0
    assert (answer["protocol"], answer["dim"], answer["context"], answer["queries"]) == ("leave-one-out", 256, True, 24)
    assert {"skipped", "mmp5", "macro_mmp5", "recall1", "recall5", "map_r", "left_out", "confusion"} <= set(answer)
    assert set(answer["domains"]) == {"shapes", "signs"}
    low, high = answer["domains"]["signs"]["ci95"]
    assert low <= answer["domains"]["signs"]["mmp5"] <= high
    assert [(c["model"], c["dim"], c["context"]) for c in answer["compared"]] == [
        ("unifex-lite-4", 256, False), ("unifex-lite-4", 64, False), ("raw", 1600, False),
    ]  # fmt: skip
    assert len(answer["labels"]) == 4
    code, text, _ = unifex("evaluate", "--gallery", "drawn", "--protocol", "random")
    assert code == 0
    assert "random, 4 queries among 20 items" in text
    assert "signs" in text


def test_a_baseline_that_few_images_do_not_give_takes_nothing_else_away(built, unifex):
    code, answer, _ = unifex("evaluate", "--gallery", "drawn", "--compare", "pca", "--compare", "raw", "--json")
    assert (code, answer["model"], answer["queries"]) == (0, "unifex-lite-4", 24)
    assert {other["model"] for other in answer["compared"]} == {"unifex-lite-4", "raw"}
    assert answer["remarks"][-1].startswith("'pca' is left out")
    assert "Note: 'pca' is left out" in unifex("evaluate", "--gallery", "drawn", "--compare", "pca")[1]


def test_the_default_model_is_heeded_where_it_is_asked_for(unifex, folder, monkeypatch):
    unifex("index", folder, "--gallery", "drawn", "--model", "unifex-lite")
    assert unifex("evaluate", "--gallery", "drawn", "--json")[1]["model"] == "unifex-lite"
    for command in (["evaluate"], ["search", "--item", "shapes/disc/0.png"], ["index", folder]):
        code, _, err = unifex(*command, "--gallery", "drawn", "--model", "unifex-lite-4")
        assert (code, "unifex-lite-4" in err) == (1, True)
    monkeypatch.setenv("UNIFEX_MODEL", "unifex-lite-4")
    assert unifex("evaluate", "--gallery", "drawn")[0] == 1


def test_evaluate_wrongly(built, unifex):
    for arguments, sentence in (
        (["--protocol", "split"], "no query and index split"),
        (["--dim", "65"], "no 65-d"),
        (["--compare", "x"], "no model x"),
    ):
        code, _, err = unifex("evaluate", "--gallery", "drawn", *arguments)
        assert code == 1
        assert sentence in err


def test_map(built, unifex, tmp_path):
    out = tmp_path / "pages" / "map.html"
    code, answer, _ = unifex("map", "--gallery", "drawn", "--out", out, "--thumbnails", "--json")
    assert code == 0
    assert (answer["items"], answer["models"]) == (24, ["unifex-lite-4"])
    assert out.read_text().startswith("<!doctype html>")


def test_corrections(built, unifex, tmp_path):
    say = lambda *arguments: unifex("correct", "drawn", *arguments, "--json")  # noqa: E731
    path, other = "shapes/disc/0.png", "signs/cross/1.png"
    code, answer, _ = say("--relabel", path, "ball", "--drop", other, "--same", path, "shapes/square/0.png")
    assert code == 0
    assert sorted(c["kind"] for c in answer["corrections"]) == ["drop", "relabel", "same"]
    _, info, _ = unifex("info", "drawn", "--json")
    assert (info["items"], info["corrections"]) == (23, 3)
    code, _, _ = say("--undo", path, "--out", tmp_path / "c.csv")
    assert code == 0
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 2
    assert say("--drop", "nothing")[0] == 1
    for names in (["nothing"], [""], [other, "nothing"]):
        code, _, told = say(*(part for name in names for part in ("--undo", name)))
        assert (code, f"nothing was said of '{names[-1]}'" in told) == (1, True)
    code, text, _ = unifex("correct", "drawn")
    assert "signs/cross/1.png is left out" in text


def test_tags(built, unifex):
    _, answer, _ = unifex("tag", "drawn", "best, to print", "shapes/disc/0.png", "signs/cross/1.png", "--json")
    assert answer["tags"] == {"best": 2, "to print": 2}
    _, found, _ = unifex("search", "--item", "shapes/disc/0.png", "--gallery", "drawn", "--tag", "best", "--json")
    assert [(hit["path"], hit["tags"]) for hit in found["results"][0]["hits"]] == [
        ("signs/cross/1.png", ["best", "to print"])
    ]
    _, answer, _ = unifex("tag", "drawn", "best", "signs/cross/1.png", "--remove", "--json")
    assert answer["tags"] == {"best": 1, "to print": 2}
    code, text, _ = unifex("tag", "drawn")
    assert (code, "best: 1 item" in text) == (0, True)
    assert "has no item 'nothing'" in unifex("tag", "drawn", "best", "nothing")[2]
    assert "name the items" in unifex("tag", "drawn", "best")[2]
    assert (
        "no tag 'worst'" in unifex("search", "--item", "shapes/disc/0.png", "--gallery", "drawn", "--tag", "worst")[2]
    )


def test_search_in_context_and_with_trust(built, unifex, folder):
    query = folder / "signs/cross/1.png"
    code, answer, _ = unifex("search", query, "--gallery", "drawn", "--rerank", "--false-accept-rate", "5", "--json")
    assert code == 0
    assert answer["results"][0]["stranger"] is False
    assert 0 < answer["results"][0]["hits"][0]["chance"] <= 1
    assert unifex("search", query, "--gallery", "drawn", "--false-accept-rate", "100")[0] == 0
    code, _, err = unifex("search", query, "--gallery", "drawn", "--false-accept-rate", "101")
    assert code == 2
    assert "0.0001 to 100.0 %" in err


def test_search(built, unifex, folder):
    queries = [folder / "shapes/disc/0.png", folder / "signs/cross/1.png"]
    code, answer, _ = unifex("search", *queries, "--gallery", "drawn", "-k", 3, "--json")
    assert code == 0
    assert [result["query"] for result in answer["results"]] == [str(query) for query in queries]
    told = {name: answer["results"][0][name] for name in ("model", "index", "searched")}
    assert told == {"model": "unifex-lite-4", "index": "exact, 256-d", "searched": 24}
    hit = answer["results"][0]["hits"][0]
    assert {name: hit[name] for name in ("rank", "path", "label", "domain")} == {
        "rank": 1, "path": "shapes/disc/0.png", "label": "disc", "domain": "shapes",
    }  # fmt: skip
    assert hit["score"] > 0.999
    assert hit["uri"] == (folder / "shapes/disc/0.png").as_posix()
    _, filtered, _ = unifex("search", queries[0], "--gallery", "drawn", "--domain", "signs", "--json")
    assert {hit["domain"] for hit in filtered["results"][0]["hits"]} == {"signs"}
    _, similar, _ = unifex("search", queries[0], "--gallery", "drawn", "--min-score", 0.999, "--json")
    assert len(similar["results"][0]["hits"]) == 1
    _, together, _ = unifex("search", *queries, "--gallery", "drawn", "--together", "--dim", 64, "--json")
    assert len(together["results"]) == 1
    code, text, _ = unifex("search", queries[0], "--gallery", "drawn", "-k", 2)
    assert "2 hits in 24 items (unifex-lite-4, exact, 256-d)" in text


def test_search_with_a_box_and_with_an_item(built, unifex, folder, tmp_path):
    whole = Image.open(folder / "signs/cross/1.png")
    whole.crop((40, 16, 160, 144)).save(tmp_path / "crop.png")
    hits = lambda *given: unifex("search", *given, "--gallery", "drawn", "-k", 23, "--json")[1]["results"][0]["hits"]  # noqa: E731
    expected = hits(tmp_path / "crop.png")
    assert hits(folder / "signs/cross/1.png", "--box", "0.25,0.1,0.75,0.8") == expected
    assert hits(folder / "signs/cross/1.png", "--box", "0.25,0.1,0.75,0.8", "--box", "0,0,1,1") != expected
    by_item = hits("--item", "signs/cross/1.png", "--box", "0.25,0.1,0.75,0.8")
    again = [hit["path"] for hit in expected if hit["path"] != "signs/cross/1.png"]
    assert [hit["path"] for hit in by_item][: len(again)] == again
    assert len(by_item) == len(hits("--item", "signs/cross/1.png")) == 23


def test_search_more_and_less_like(built, unifex, folder):
    query = folder / "shapes/disc/0.png"
    _, plain, _ = unifex("search", query, "--gallery", "drawn", "-k", 24, "--json")
    last = plain["results"][0]["hits"][-1]["path"]
    marks = ("--more", last, "--less", "shapes/disc/0.png", "--less", "shapes/disc/1.png")
    for how in ("rocchio", "nearest"):
        _, moved, _ = unifex("search", query, "--gallery", "drawn", *marks, "--feedback", how, "-k", 24, "--json")
        paths = [hit["path"] for hit in moved["results"][0]["hits"]]
        assert len(paths) == 22
        assert last in paths[:2]
        assert not {"shapes/disc/0.png", "shapes/disc/1.png"} & set(paths)
    _, alone, _ = unifex("search", "--gallery", "drawn", "--more", last, "--json")
    assert alone["results"][0]["query"] == f"more like {last}"
    assert alone["results"][0]["hits"][0]["path"] == last
    for wrong, sentence in (
        (("--more", "no/such.png"), "no item 'no/such.png'"),
        (("--less", last), "give an image, --item, --text or --more"),
        (("--more", last, "--feedback", "luck"), "rocchio or nearest"),
    ):
        code, _, err = unifex("search", "--gallery", "drawn", *wrong)
        assert (code > 0, sentence in err) == (True, True)


def test_search_by_label_folder_and_column(unifex, folder):
    rows = "".join(f"shapes/disc/{at}.png,disc,shapes,{1890 + 10 * at}\n" for at in range(6))
    (folder / "manifest.csv").write_text(f"path,label,domain,year\n{rows}signs/cross/0.png,cross,signs,\n")
    unifex("index", folder / "manifest.csv", "--gallery", "drawn")
    paths = lambda *given: [  # noqa: E731
        hit["path"]
        for hit in unifex("search", folder / "shapes/disc/0.png", "--gallery", "drawn", *given, "--json")[1]["results"][
            0
        ]["hits"]
    ]
    assert paths("--label", "cross") == paths("--folder", "signs") == ["signs/cross/0.png"]
    assert sorted(paths("--where", "year>=1900", "--where", "year<1920")) == ["shapes/disc/1.png", "shapes/disc/2.png"]
    assert paths("--where", "year=1910") == ["shapes/disc/2.png"]
    for given, sentence in (("--where", "yer>1"), "no column 'yer'"), (("--where", "old"), "is no condition"):
        code, _, err = unifex("search", folder / "shapes/disc/0.png", "--gallery", "drawn", *given)
        assert (code, sentence in err) == (1, True)


def test_embed(unifex, folder, tmp_path):
    code, answer, _ = unifex("embed", folder, "--out", tmp_path / "e.npz", "--dim", 128, "--json")
    assert code == 0
    assert (answer["items"], answer["dim"], answer["failed"]) == (24, 128, [])
    arrays = np.load(tmp_path / "e.npz")
    assert arrays["embedding"].shape == (24, 128)
    assert arrays["embedding"].dtype == np.float32
    assert np.allclose(np.linalg.norm(arrays["embedding"], axis=1), 1, atol=1e-5)
    assert arrays["path"][0] == "shapes/disc/0.png"
    assert set(arrays["label"]) == {"disc", "square", "cross", "stripes"}
    assert set(arrays["domain"]) == {"shapes", "signs"}
    assert set(arrays["split"]) == {""}
    assert not (tmp_path / "indexes").exists()


def test_galleries_info_remove_models(built, unifex):
    _, answer, _ = unifex("galleries", "--json")
    assert [(g["name"], g["items"], g["domains"]) for g in answer["galleries"]] == [
        ("drawn", 24, {"shapes": 12, "signs": 12})
    ]
    _, info, _ = unifex("info", "drawn", "--json")
    assert (info["items"], info["labels"]) == (24, 4)
    assert [Path(source).name for source in info["sources"]] == ["pictures"]
    assert info["index"] == {"kind": "exact, 256-d", "exact": True, "recall_at_10": 1.0}
    _, removed, _ = unifex("remove", "drawn", "shapes/disc/0.png", "shapes/disc/1.png", "--json")
    assert removed == {"gallery": "drawn", "removed": 2, "left_out": 0, "items": 22}
    _, models, _ = unifex("models", "--json")
    assert [(m["name"], m["backbone"], m["dims"]) for m in models["models"]] == [
        (name, "lite0-lite2" if "base" in name else "lite0", [64, 128, 256, 512]) for name in BUNDLED
    ]
    assert [m["adapted"] for m in models["models"]] == [name != "unifex-lite" for name in BUNDLED]
    for command in (["galleries"], ["info", "drawn"], ["models"]):
        code, text, _ = unifex(*command)
        assert code == 0
        assert text.strip()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["index", "/nowhere/at/all", "--gallery", "g"], "does not exist"),
        (["index", "{folder}", "--gallery", "../up"], "cannot name a gallery"),
        (
            ["index", "{folder}", "--gallery", "g", "--model", "nope"],
            "there are: unifex-base, unifex-base-2, unifex-base-3, ",
        ),
        (["search", "{folder}/shapes/disc/0.png", "--gallery", "nope"], "none yet"),
        (["search", "--item", "nothing.png", "--gallery", "drawn"], "no item 'nothing.png'"),
        (["search", "{folder}/missing.png", "--gallery", "drawn"], "No such file"),
        (["search", "{folder}/bad.png", "--gallery", "drawn"], "not an image"),
        (["search", "{folder}/shapes/disc/0.png", "--gallery", "drawn", "--dim", "65"], "no 65-d"),
        (["remove", "drawn", "no/such.png"], "no item 'no/such.png'"),
        (["info", "nope"], "no gallery 'nope'"),
    ],
)
def test_failures_are_one_sentence_and_exit_code_1(unifex, folder, arguments, sentence):
    (folder / "bad.png").write_bytes(b"words")
    if "drawn" in arguments:
        unifex("index", folder, "--gallery", "drawn")
    code, out, err = unifex(*[argument.replace("{folder}", str(folder)) for argument in arguments], "--json")
    assert code == 1
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


def test_a_wrong_source_leaves_no_gallery(unifex, tmp_path):
    unifex("index", "/nowhere", "--gallery", "g")
    assert not (tmp_path / "indexes" / "g").exists()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("", "required: COMMAND"),
        ("index", "required: --gallery"),
        ("index --gallery a", "give a source, or --from-embeddings DIR"),
        ("import . --save m", "'.' is a folder: a model's is used as it lies there, --model ."),
        ("curate . --out o.csv --max-images 1", "--min-images 3 must be not above --max-images 1"),
        ("fly", "invalid choice: 'fly'"),
        ("info a --volume 11", "there is no option --volume ("),
        ("search x.png --galery a", "there is no option --galery, but --gallery"),
        ("search x.png", "required: --gallery"),
        ("search --gallery a", "give an image, --item, --text or --more"),
        ("search x.png --gallery a -k 0", "argument -k: k must be a whole number, 1 to 1000 hits, not '0'"),
        ("search x.png --gallery a --box 1,2", "must be 0.0 to 1.0"),
        ("search x.png --gallery a --box 0,0,1", "a box is x,y,width,height"),
        ("search x.png --gallery a --box a", "must be 0.0 to 1.0"),
        ("search x.png --gallery a --text-weight 7", "the balance must be"),
        ("galleries --model bogus", "there is no option --model"),
        ("evaluate --gallery a --protocol foo", "invalid choice: 'foo'"),
    ],
)
def test_wrong_usage_is_exit_code_2(unifex, command, sentence):
    code, out, said = unifex(*command.split())
    assert (code, out, said.count("\n")) == (2, "", 1)
    assert sentence in said


def test_a_setting_of_a_training_that_cannot_be_is_wrong_usage(unifex, folder):
    unifex("index", folder, "--gallery", "drawn")
    code, _, said = unifex("train", "--gallery", "drawn", "--save", "m", "--epochs", "0")
    assert (code, said.count("\n")) == (2, 1)
    assert "python -m unifex train: epochs" in said


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"UniFEx {unifex_package.__version__}\n")


def test_as_a_program_stdout_holds_json_alone(folder, tmp_path):
    environment = {**os.environ, "UNIFEX_LIBRARY": str(tmp_path / "i")}
    command = [sys.executable, "-m", "unifex", "index", str(folder), "--gallery", "g", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["added"] == 24
    assert done.stdout.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/stdout")
def test_what_is_written_to_the_standard_output_is_alone_there(built, tmp_path):
    command = [sys.executable, "-m", "unifex", "export-gallery", "drawn", "--to", "csv", "--out", "/dev/stdout"]
    environment = {**os.environ, "UNIFEX_LIBRARY": str(tmp_path / "indexes")}
    with (tmp_path / "table.csv").open("wb") as table:
        done = subprocess.run(command, env=environment, stdout=table, stderr=subprocess.PIPE, check=True, text=True)
    piped = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert (tmp_path / "table.csv").read_bytes() == piped
    assert piped.decode("utf-8-sig").startswith("path,label,")
    assert piped.count(b"\n") == 25
    assert "24 items" in done.stderr


def test_help_answers_without_heavy_imports():
    heavy = "{'torch', 'faiss', 'gradio'}"
    probe = f"import sys; from unifex.cli import main; main._parser(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_page_is_built_without_torch():
    probe = "import sys; import unifex.ui.app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_settings_from_the_environment(monkeypatch, tmp_path):
    from unifex.cli.settings import read_settings

    monkeypatch.setenv("UNIFEX_PORT", "9001")
    monkeypatch.setenv("UNIFEX_PUBLIC", "yes")
    monkeypatch.setenv("UNIFEX_LIBRARY", str(tmp_path))
    settings = read_settings(["--host", "0.0.0.0"])
    assert (settings.port, settings.public, settings.host) == (9001, True, "0.0.0.0")
    assert read_settings(["--port", "9002"]).port == 9002
    monkeypatch.setenv("SPACE_ID", "me/space")
    monkeypatch.delenv("UNIFEX_PUBLIC")
    assert read_settings([]).public


def test_odd_query_formats(built, unifex, tmp_path):
    path: Path = tmp_path / "q.webp"
    path.write_bytes(encoded(picture("shapes/disc", 0), "WEBP", lossless=True))
    _, answer, _ = unifex("search", path, "--gallery", "drawn", "-k", 1, "--json")
    assert answer["results"][0]["hits"][0]["path"] == "shapes/disc/0.png"


def test_what_people_read_has_one_of_what_is_one_and_no_braces(built, unifex, tmp_path):
    _, told, _ = unifex("search", "--item", "shapes/disc/0.png", "--gallery", "drawn", "-k", "1")
    assert ": 1 hit in 24 items (" in told
    _, told, _ = unifex("info", "drawn")
    assert not set("{}[]") & set(told)
    assert "domains      shapes 12, signs 12" in told
    assert unifex("export-gallery", "drawn", "--to", "files", "--out", tmp_path / "files")[0] == 0
    _, told, _ = unifex("index", tmp_path / "files", "--gallery", "again")
    assert "gallery 'again': 24 items, 24 added" in told
    assert "0 refused" in told
    assert unifex("export-gallery", "drawn", "--to", "csv", "--out", tmp_path / "table/csv")[0] == 0
    assert [path.name for path in (tmp_path / "table").iterdir()] == ["csv.csv"]


@pytest.mark.parametrize("command", ["tag drawn best shapes/disc/0.png", "remove drawn shapes/disc/0.png"])
def test_where_nobody_may_write_the_folder_and_the_remedy_are_told(built, unifex, tmp_path, monkeypatch, command):
    def refuse(lock, *_, **__):
        raise PermissionError(13, "Permission denied", lock.lock_file)

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    code, _, told = unifex(*command.split())
    assert (code, "nothing can be written in 'drawn' (Permission denied)" in told) == (1, True)
    assert "--library" in told
