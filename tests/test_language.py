"""The page in other languages: every catalog is whole, and what it says is put where English would stand."""

from __future__ import annotations

import ast
import asyncio
import re
import string
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import pytest
from PIL import Image

from tests.support import catalogs
from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.cli.settings import Settings, read_settings
from unifex.core import language, ranges
from unifex.core.errors import UnifexError
from unifex.core.language import LOCALE, check_language, languages, say, say_many, speak, spoken, thousands
from unifex.core.progress import Step, Work
from unifex.core.text import plural
from unifex.data.item import SourceError
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui.app import build
from unifex.ui.components import model_download
from unifex.ui.components.job_tray import JobTray
from unifex.ui.context import AppContext
from unifex.ui.rendering import html
from unifex.ui.scripts import words_address
from unifex.ui.server.first_paint import FirstPaint
from unifex.ui.server.rates import Refusal

CATALOGS = sorted(LOCALE.glob("*.po"))
OTHERS = [path.stem for path in CATALOGS]


@pytest.fixture(autouse=True)
def _english_again():
    yield
    speak("en")


def placeholders(text: str) -> Counter[str]:
    """What values are put into: ``{name}`` of code and scripts, ``%(name)s`` of templates, and elements."""
    braces = [name for _, name, _, _ in string.Formatter().parse(text.replace("${", "")) if name]
    return Counter([*braces, *re.findall(r"%\(\w+\)s|</?\w+", text)])


@pytest.mark.parametrize("path", CATALOGS, ids=OTHERS)
def test_every_sentence_is_translated_and_nothing_else(path):
    missing = [message.id for message in catalogs.translations(catalogs.read(path)) if not catalogs.is_whole(message)]
    assert not missing
    brought_up = catalogs.written(catalogs.brought_up(path))
    assert path.read_bytes() == brought_up, "run python -m tests.support.catalogs, then translate what is new"


@pytest.mark.parametrize("path", CATALOGS, ids=OTHERS)
def test_both_languages_have_room_for_the_same_values(path):
    for message in catalogs.translations(catalogs.read(path)):
        said = [message.string] if isinstance(message.string, str) else message.string
        meant = [message.id] if isinstance(message.id, str) else message.id
        allowed = {name for text in meant for name in placeholders(text)}
        for text in said:
            assert set(placeholders(text)) == allowed, (meant, text)
            assert '"' not in text or any('"' in one for one in meant), f"would end an attribute: {text}"


def test_what_python_says_is_found():
    """Babel does not look into f-strings."""
    known = {text for one in catalogs.sentences() for text in ([one.id] if isinstance(one.id, str) else one.id)}
    said = [
        (path.name, text.value)
        for path in sorted((catalogs.ROOT / "unifex").rglob("*.py"))
        if catalogs.NOT_SAID not in path.parents
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in catalogs.KEYWORDS
        for text in call.args
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    ]
    assert not [one for one in said if one[1] not in known]


def test_every_sentence_is_given_the_values_that_it_has_room_for():
    wrong = []
    for path in sorted((catalogs.ROOT / "unifex").rglob("*.py")):
        tree = ast.parse(path.read_text())
        named = dict(_named_sentences(tree))
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
                continue
            given = {keyword.arg for keyword in call.keywords}
            if call.func.id not in ("say", "say_many") or None in given:
                continue
            for text in filter(None, map(lambda said: _sentence(said, named), call.args)):
                room = {re.split(r"[.\[]", name)[0] for name in placeholders(text) if name[0] not in "<%"}
                if room != given - {"count"} | room & {"count"}:
                    wrong.append((path.name, call.lineno, text, given))
    assert not wrong


def _named_sentences(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, text) of what a file calls ``NAME = to_say("...")``."""
    for one in tree.body:
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call) and isinstance(one.targets[0], ast.Name):
            call = one.value
            if isinstance(call.func, ast.Name) and call.func.id == "to_say" and (text := _sentence(call.args[0], {})):
                yield one.targets[0].id, text


def _sentence(said: ast.expr, named: Mapping[str, str]) -> str | None:
    if isinstance(said, ast.Name):
        return named.get(said.id)
    return said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else None


# Errors of these only a command line, or who writes Python, can meet: they stay English.
_FOR_DEVELOPERS = {
    "__main__.py", "cli", "scale", "core/address.py", "core/language.py", "gallery/clip_retrieval.py",
    "models/image_like.py", "models/linear_layer.py", "training/loggers.py", "training/public_config.py",
}  # fmt: skip


def test_errors_that_the_page_shows_are_said():
    top = catalogs.ROOT / "unifex"
    trees = {path.relative_to(top): ast.parse(path.read_text()) for path in sorted(top.rglob("*.py"))}
    kinds = _kinds_of_errors(trees.values())
    assert len(kinds) > 30
    unsaid = [
        f"{path}:{text.lineno}: {ast.unparse(text)}"
        for path, tree in trees.items()
        if _FOR_DEVELOPERS.isdisjoint(map(str, (path, *path.parents)))
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _name(call.func) in {*kinds, "__init__"}
        for text in call.args
        if _is_sentence(text)
    ]
    assert not unsaid, "say() them, or they are English on every page"


def _kinds_of_errors(trees: Iterable[ast.Module]) -> set[str]:
    """The names of what says no, to a person or to a request, and of what derives from it."""
    classes = [one for tree in trees for one in ast.walk(tree) if isinstance(one, ast.ClassDef)]
    kinds: set[str] = set()
    more = {UnifexError.__name__, Refusal.__name__}
    while more - kinds:
        kinds |= more
        more = {one.name for one in classes if kinds & {_name(base) for base in one.bases}}
    return kinds


def _name(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


def _is_sentence(text: ast.expr) -> bool:
    """Words that stand there as they will be read; what only puts others' words together is none."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    literal = "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return " " in literal and bool(re.search(r"[A-Za-z]{2}", literal))


_DATIVE = re.compile(r"\b(?:aus|bei|in|mit|nach|seit|unter|von|vor|zu)\s+\{(\w+)\}", re.IGNORECASE)
_COUNTED = re.compile(r"(\w+)\s?[=:]\s?plural\([^\"']*?[\"'](\w[\w ]*)[\"']")  # name=plural(count, "item", "items")


def test_german_counts_that_stand_in_the_dative_have_its_ending():
    """Units come as they are called, "24 Bilder": after "von" only those can stand that are called so there, too."""
    speak("de")
    counted: dict[tuple[str, str], set[str]] = {}  # by file and name
    for path in (path for place in ("unifex/**/*.py", "assets/*.js") for path in catalogs.ROOT.glob(place)):
        for name, one in _COUNTED.findall(path.read_text()):
            counted.setdefault((path.relative_to(catalogs.ROOT).as_posix(), name), set()).add(one)
    wrong = [
        (text, called)
        for message in catalogs.translations(catalogs.read(LOCALE / "de.po"))
        for text in ([message.string] if isinstance(message.string, str) else message.string)
        for name in _DATIVE.findall(text)
        for place, _ in message.locations
        for one in counted.get((place, name), ())
        if not (called := plural(2, one)).endswith(("n", "s"))
    ]
    assert len(counted) > 20
    assert not wrong


def test_what_scripts_say_is_found():
    """Babel reads no template text of JavaScript in which quotes stand."""
    known = {one if isinstance(one, str) else one[0] for one in (m.id for m in catalogs.sentences())}
    for path in sorted((catalogs.ROOT / "assets").glob("*.js")):
        calls = re.findall(r"\b(?:say|plural)\((?:[^'\"]*?, )?'((?:[^'\\]|\\.)+)'", path.read_text())
        assert not [text for text in calls if text.replace("\\'", "'") not in known], path.name


@pytest.mark.parametrize("name", OTHERS)
def test_every_catalog_is_a_language_that_can_be_chosen(name, monkeypatch):
    assert name in languages()
    assert read_settings(["--language", name]).language == name
    monkeypatch.setenv("UNIFEX_LANGUAGE", name)
    assert read_settings([]).language == name
    speak(name)
    assert language.spoken() == name
    assert words_address().endswith(f"/words-{name}.js")


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "xx:de"}, "de"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "de_DE"}, "en"),
    ],
)
def test_the_language_of_this_computer(environment, found, monkeypatch):
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert check_language("auto") == found


@pytest.mark.parametrize("name", ["tlh", "", "../de", "german"])
def test_a_language_that_there_is_not(name, capsys):
    with pytest.raises(UnifexError, match="there are: de, en, and auto"):
        check_language(name)
    with pytest.raises(SystemExit, match="2"):
        read_settings(["--language", name])
    assert "there are: de, en, and auto" in capsys.readouterr().err


def test_english_is_as_it_stands():
    assert say("{count:,} of {name}", count=1234, name="{x}") == "1,234 of {x}"
    assert say("") == ""
    assert [plural(count, "image", "images") for count in (1, 2, 1234)] == ["1 image", "2 images", "1,234 images"]
    assert not words_address()


def test_german():
    speak("de")
    assert [plural(count, "item", "items") for count in (1, 2, 1234)] == [
        "1 Eintrag",
        "2 Einträge",
        "1\u202f234 Einträge",
    ]
    assert say("no sentence of {count:,}", count=1234) == "no sentence of 1\u202f234"
    assert say("") == ""
    assert say_many(1, "hit", "hits") == "Treffer"
    assert thousands(1234567) == "1\u202f234\u202f567"
    header = html.header("model", "ready", busy=False)
    assert "Zwischen hell und dunkel wechseln" in header
    assert '<b title="Modell einer neuen Galerie">model</b>' in header


def test_how_far_a_job_is_and_what_answers_words_is_told_in_german(gallery):
    speak("de")
    context = AppContext(Settings(), Library(gallery.folder.parent), gallery.embedder)
    tray = JobTray(context)
    jobs, cancel, *_ = tray._server_functions()
    job = context.start("index", "mine", _waiting(Step("embedding", 32, 36, "images")))
    while job.step.total == 0:
        time.sleep(0.01)
    assert jobs("")["jobs"][0]["detail"].endswith(" · Bilder: 32 von 36")
    cancel(job.id)
    assert job.finished.wait(60)
    assert search(gallery, Query(text="a disc"), k=1).model == "EfficientNet-Lite0, angepasst"


def _waiting(step: Step) -> Work[None]:
    while True:
        yield step
        time.sleep(0.01)


def test_why_files_are_left_out(tmp_path, embedder):
    whole = encoded(picture("shapes/disc", 0))
    files = {
        "empty.jpg": b"",
        "cut.jpg": whole[: len(whole) // 2],
        "damaged.png": b"\x89PNG\r\n\x1a\n--",
        "thin.png": encoded(Image.new("L", (1, 2000))),
        "words.txt": b"words",
        "table.csv": b"-",
        "inside.zip": b"PK",
        "Thumbs.db": b"-",
        ".hidden/one.jpg": whole,
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)

    def reasons() -> dict[str, str]:
        report = run_index(Gallery.create(tmp_path.parent / "there" / spoken(), embedder), str(tmp_path))
        return {failed.path: failed.reason for failed in report.failed}

    english = reasons()
    speak("de")
    german = reasons()
    assert len(english) == len(files)
    assert german.keys() == english.keys()
    assert german["words.txt"] == "kein Bild"
    assert german["thin.png"] == "1 x 2000 Pixel: zu schmal, um etwas zu zeigen"
    assert german[".hidden"] == "übergangen: versteckte Datei oder versteckter Ordner"
    assert not german.items() & english.items()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("list.csv", b"name,label\na.png,x\n"),
        ("list.csv", b"path,file,label\na.png,a.png,x\n"),
        ("list.csv", b"path,label\na.png,\xff\n"),
        ("metadata.jsonl", b"no JSON\n"),
        ("metadata.jsonl", b"[1]\n"),
        ("labels.json", b"{"),
        ("labels.json", b"[]"),
    ],
)
def test_what_is_wrong_with_a_list(tmp_path, name, lines):
    (tmp_path / name).write_bytes(lines)

    def told() -> str:
        with pytest.raises(SourceError) as refused:
            open_source(str(tmp_path / name))
        return str(refused.value)

    english = told()
    speak("de")
    assert told() != english


def test_what_is_wrong_with_a_row(tmp_path):
    tables = {
        "cells.csv": "path,label\na.png,x,y\n",
        "quotes.csv": 'path,label\n"a.png,x\n',
        "split.csv": "path,split\na.png,other\n",
        "control.csv": "path,label\na.png,x\x07\n",
        "labels.json": '{"labels": {"a": 7}, "classes": ["x"]}',
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text)

    def reasons() -> dict[str, str]:
        return {name: entry.reason for name in tables for entry in open_source(str(tmp_path / name))}

    english = reasons()
    speak("de")
    german = reasons()
    assert english["cells.csv"].startswith("line 2: 3 cells, and the header has 2")
    assert german["cells.csv"].startswith("Zeile 2: 3 Zellen, in der Kopfzeile 2")
    assert len(german) == len(tables)
    assert not german.items() & english.items()


def test_a_number_that_cannot_be():
    speak("de")
    with pytest.raises(UnifexError, match=r"^der Startwert: eine ganze Zahl, 0 bis \d+, nicht '-1'$"):
        ranges.SEED.check(-1)


def texts_in(value: object) -> Iterator[str]:
    """All texts in data of any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from texts_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts_in(one)


def test_the_page_is_built_in_german(gallery):
    speak("de")
    page = build(AppContext(Settings(), Library(gallery.folder.parent), gallery.embedder))
    there = set(texts_in(page.get_config_file()))
    assert {"Suchen", "Auswerten", "Mehr Bilder von demselben", "Zurückgehaltene Klassen"} <= there
    assert {"Gegenstände: Caltech-101 (CC BY 4.0)", "Bohnenblätter (MIT)"} <= there
    assert any(text.endswith("0 bis 10\u202f000\u202f000 Schritte") for text in there)
    assert any(text.endswith("0 bis 100 Blöcke") for text in there)
    assert not [text for text in there if re.search(r"\b\d{1,3},\d{3}\b(?!\.)", text)]
    known = catalogs.translations(catalogs.read(LOCALE / "de.po"))
    sentences = {message.id for message in known if " " in message.id and message.id != message.string}
    assert there & sentences <= {*model_download.KINDS}  # values, which are shown in German


async def document(markup: str) -> str:
    """What a browser gets for ``/``."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b'<html lang="en"><gradio-app></gradio-app></html>'})

    sent = []

    async def send(message):
        sent.append(message)

    await FirstPaint(app, markup)({"type": "http", "method": "GET", "path": "/"}, None, send)
    return sent[-1]["body"].decode()


def test_the_document_says_which_language_it_is_in():
    english = asyncio.run(document(html.first_paint(["Search"], words_address())))
    assert '<html lang="en">' in english
    assert """get: () => "en" });""" in english
    assert "words-" not in english
    speak("de")
    german = asyncio.run(document(html.first_paint(["Suchen"], words_address())))
    assert '<html lang="de" dir="ltr">' in german
    assert f'<script src="{words_address()}">' in german
    assert """get: () => "de" });""" in german


def test_scripts_are_given_what_they_say():
    speak("de")
    words = language.words_for_scripts()
    assert words["texts"]["hit"] == ["Treffer", "Treffer"]
    assert words["texts"]["Saved searches"] == ["Gespeicherte Suchen"]
    assert "Delete for good" not in words["texts"]  # which Python says
    assert words["forms"][:4] == "1011"


def test_style_sheets_say_nothing():
    """What they show they are given: nothing in them is found for the catalogs."""
    for path in sorted((catalogs.ROOT / "assets").glob("*.css")):
        assert not re.findall(r"content: ['\"][^'\"]*[A-Za-z]{2}", path.read_text()), path.name
