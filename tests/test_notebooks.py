"""The examples, cell by cell, on the drawn demo; and what a notebook shows."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import unifex
from tests.support.serving import ROOT
from unifex.data.item import Labels
from unifex.gallery.records import Record
from unifex.retrieval.hits import Hit

EVIL = '<img src=x onerror="alert(1)">'


def shown(name: str, folder: Path) -> list[dict[str, str]]:
    """What the cells of an example show, run by Jupyter's own client in a kernel: media type -> text, one a cell."""
    notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
    assert not [output for cell in notebook.cells for output in cell.get("outputs", ())]
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}})
    outputs = [output for cell in client.execute().cells for output in cell.get("outputs", ())]
    return [output.data for output in outputs if output.output_type == "execute_result"]


@pytest.fixture
def here(demo, tmp_path, monkeypatch) -> Path:
    """An empty folder but for the demo; the kernel finds this checkout."""
    shutil.copytree(demo, tmp_path / "indexes")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.mark.slow
def test_search(here):
    counts, result, hit, measured = shown("search.ipynb", here)
    assert counts["text/plain"] == "(264, [])"
    pictures = result["text/html"]
    assert pictures.count("<figure") == pictures.count('src="data:image/jpeg;base64,/9j/') == 8
    assert hit["text/html"].count("<figure") == 1
    assert "<table" in measured["text/html"]
    assert "mMP@5" in measured["text/html"]


@pytest.mark.slow
def test_finetune(here):
    items, result, found = shown("finetune.ipynb", here)
    assert items["text/plain"] == "264"
    assert "mine" in result["text/html"]
    assert found["text/html"].count("<figure") == 8


def test_names_are_no_markup_in_a_notebook():
    hit = Hit(1, 0.9, Record(1, EVIL, EVIL, "0" * 64, Labels(EVIL, EVIL), 1, 1, 1, ""))
    assert "<img src=x" not in hit._repr_html_()
    assert hit.picture == ""


def test_an_assessment_tells_itself_in_a_line(gallery):
    assessment = unifex.evaluate(gallery)
    assert repr(assessment).startswith("Assessment(main=Evaluation('unifex-lite-4', 256-d, 24 queries, mMP@5 ")
    assert len(repr(assessment)) < 400
