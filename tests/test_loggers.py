"""Curves in other people's tools: what is told to them, and what is said when they are missing."""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types

import pytest

from unifex.cli.main import main
from unifex.core.errors import UnifexError
from unifex.training.loggers import logger_of
from unifex.training.result import EpochMetrics

POINTS = [EpochMetrics(n, 2, 1 / n, 0.1, 1.0, {64: 0.5 + n / 10}) for n in (1, 2)]


def test_trackio_is_told_every_epoch_and_the_end(tmp_path, monkeypatch):
    calls = []
    stand_in = types.ModuleType("trackio")
    stand_in.__spec__ = importlib.machinery.ModuleSpec("trackio", None)
    stand_in.init = lambda **options: calls.append(options)
    stand_in.log = lambda values, step: calls.append((step, values))
    stand_in.finish = lambda: calls.append("finished")
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    with logger_of("trackio", tmp_path, "mine") as log:
        for point in POINTS:
            log(point)
    assert calls[0] == {"project": "unifex", "name": "mine"}
    assert calls[1] == (1, {"loss": 1.0, "learning rate": 0.1, "held-out mMP@5/64-d": 0.6})
    assert [call[0] for call in calls[1:3]] == [1, 2]
    assert calls[3] == "finished"


def test_what_a_tool_prints_is_no_part_of_the_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("unifex.models.embedder.list_models", lambda folder: print("* hello") or [])
    assert main(["models", "--library", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"models": []}


def test_nothing_is_logged_unless_asked_for(tmp_path):
    with logger_of(None, tmp_path, "mine") as log:
        log(POINTS[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tool", ["tensorboard", "trackio"])
def test_a_missing_package_is_named(tool, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnifexError, match=f"pip install {tool}"), logger_of(tool, tmp_path, "mine"):
        pass
