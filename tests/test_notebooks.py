"""The examples, cell by cell, on the drawn demo; and what a notebook shows."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from tests.support.serving import ROOT
from unifex.data.item import Labels
from unifex.evaluation.compare import Assessment
from unifex.gallery.records import Record
from unifex.retrieval.hits import Hit, SearchResult
from unifex.training.result import TrainResult

EVIL = '<img src=x onerror="alert(1)">'


def shown(path: Path) -> list:
    """What the last expression of every cell gives, where it ends with one."""
    names, values = {}, []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert cell["cell_type"] == "markdown" or not cell["outputs"]
        if cell["cell_type"] == "code":
            code = ast.parse("".join(cell["source"]))
            last = code.body.pop() if isinstance(code.body[-1], ast.Expr) else None
            exec(compile(code, path.name, "exec"), names)
            values += [eval(compile(ast.Expression(last.value), path.name, "eval"), names)] if last else []
    return values


@pytest.fixture
def here(demo, tmp_path, monkeypatch):
    shutil.copytree(demo, tmp_path / "indexes")
    monkeypatch.chdir(tmp_path)


def test_search(here):
    (items, failed), result, hit, measured = shown(ROOT / "examples" / "search.ipynb")
    assert (items, failed) == (264, [])
    assert isinstance(result, SearchResult)
    assert isinstance(measured, Assessment)
    markup = result._repr_html_()
    assert markup.count("<figure") == markup.count('src="data:image/jpeg;base64,/9j/') == 8
    assert hit.label in hit._repr_html_()
    assert f"{measured.main.overall().value:.3f}" in measured._repr_html_()
    assert all(row.name.replace("&", "&amp;") in measured._repr_html_() for row in measured.main.domains)
    assert "<table" in measured.main._repr_html_()


def test_finetune(here):
    items, result, found = shown(ROOT / "examples" / "finetune.ipynb")
    assert items == 264
    assert isinstance(result, TrainResult)
    assert "mine" in result._repr_html_()
    assert found.model == "mine"
    assert len(found.hits) == 8


def test_names_are_no_markup_in_a_notebook():
    hit = Hit(1, 0.9, Record(1, EVIL, EVIL, "0" * 64, Labels(EVIL, EVIL), 1, 1, 1, ""))
    assert "<img src=x" not in hit._repr_html_()
    assert hit.picture == ""
