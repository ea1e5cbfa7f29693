"""One root for the program's own errors; everything else is a defect, and is told as one."""

import ast
import asyncio
import builtins
import logging
from pathlib import Path

import gradio as gr
import pytest

from unifex.core import console
from unifex.core.errors import UnifexError
from unifex.core.text import explain
from unifex.ui.page import Page

ROOT = Path(__file__).resolve().parent.parent / "unifex"
WITHOUT_ROOT = {"UnifexError", "Refusal"}  # the root itself; what the guard answers a request with


def _is_pythons(base: ast.expr) -> bool:
    kind = getattr(builtins, base.id, None) if isinstance(base, ast.Name) else None
    return isinstance(kind, type) and issubclass(kind, BaseException)


def test_every_error_of_the_program_has_the_one_root():
    rootless = {
        cls.name
        for path in ROOT.rglob("*.py")
        for cls in ast.walk(ast.parse(path.read_text()))
        if isinstance(cls, ast.ClassDef) and cls.bases and all(map(_is_pythons, cls.bases))
    }
    assert {name for name in rootless if not name.startswith("_")} <= WITHOUT_ROOT  # _: never leaves its file


@pytest.mark.parametrize(
    ("error", "sentence", "defect"),
    [
        (UnifexError("no gallery 'x'; there are: y"), "no gallery 'x'; there are: y", False),
        (
            FileNotFoundError(2, "No such file or directory", "/me/x.jpg"),
            "No such file or directory (x.jpg)",
            False,
        ),
        (MemoryError(), "there is not enough memory", False),
        (ModuleNotFoundError("", name="not_here.at_all"), "not_here is not installed: pip install -r req", False),
        (ModuleNotFoundError("", name="json.nothing"), "internal error (ModuleNotFoundError), please report", True),
        (ValueError("operands could not be broadcast together"), "internal error (ValueError), please report", True),
        (KeyError("leave-one-out"), "internal error (KeyError), please report", True),
    ],
)
def test_a_defect_is_told_from_what_a_user_can_mend(error, sentence, defect, caplog):
    found = explain(error)
    assert found.sentence.startswith(sentence)
    assert found.defect == defect
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == ([error] if defect else [])


@pytest.mark.parametrize(
    ("error", "title"), [(UnifexError("no"), "Not done"), (ValueError(), "A defect of the program")]
)
def test_the_page_shows_every_error_as_a_sentence(error, title, caplog):
    def handler():
        raise error

    def stream():
        yield "begun"
        raise error

    async def whole(page, number):
        answer = await page.process_api(number, [], session_hash="s")
        while answer["is_generating"]:
            answer = await page.process_api(number, [], session_hash="s", iterator=answer["iterator"])

    with Page() as page:
        box = gr.Textbox()
        gr.Button().click(handler, None, box)
        gr.Button().click(stream, None, box)
    for number in (0, 1):
        with pytest.raises(gr.Error) as told:
            asyncio.run(whole(page, number))
        assert told.value.title == title
        assert told.value.message == explain(error).sentence


def test_every_end_of_a_program_has_its_exit_code(capsys, caplog):
    def ends(error: BaseException) -> tuple[int, str]:
        def program() -> int:
            raise error

        return console.run(program, "nothing is lost"), capsys.readouterr().err

    assert console.run(lambda: 0, "") == 0
    assert ends(UnifexError("no such thing")) == (1, "unifex: no such thing\n")
    assert ends(KeyboardInterrupt()) == (130, "\nunifex: stopped; nothing is lost\n")
    with caplog.at_level(logging.ERROR):
        code, text = ends(ValueError("shapes (3,) and (4,)"))
    assert code == 1
    assert "internal error (ValueError), please report" in text
    assert "shapes" not in text
