"""What is listed in one place is known in all others: nothing that is added is a KeyError somewhere else."""

from dataclasses import replace
from html import unescape

from unifex.cli import main
from unifex.core import preprocessing
from unifex.core.progress import finish
from unifex.evaluation.compare import compare
from unifex.evaluation.protocols import PROTOCOLS, EvalProtocol, Protocol
from unifex.exports.formats import FORMATS
from unifex.exports.selection import IMAGES
from unifex.models import export
from unifex.training import config, loggers
from unifex.ui.components.model_download import KINDS
from unifex.ui.rendering import evaluation_report


def choices_of(command: str, option: str) -> list[str]:
    """What the command line offers."""
    commands = next(action for action in main._parser()._actions if action.choices)
    found = next(action for action in commands.choices[command]._actions if option in action.option_strings)
    return list(found.choices)


def test_losses_presets_formats_and_tools_are_the_same_everywhere():
    assert list(config.LOSSES) == choices_of("train", "--loss")
    assert list(config.PRESETS) == choices_of("train", "--preset")
    assert list(loggers.LOGGERS) == choices_of("train", "--log")
    assert set(export.FORMATS) == set(export.SUFFIXES) == set(choices_of("export", "--format"))
    assert list(FORMATS) == choices_of("export-gallery", "--to")
    assert list(IMAGES) == choices_of("export-gallery", "--images")
    assert set(KINDS.values()) <= {"", *export.FORMATS}
    assert set(preprocessing.FITS) == {"squash", "crop", "pad"}  # which export builds into a file


def test_a_protocol_that_is_added_has_its_words_on_the_page(gallery, monkeypatch):
    by_day = Protocol(PROTOCOLS["split"].divide, "what was taken on one day against the rest", "drawn by seed")
    monkeypatch.setitem(PROTOCOLS, "by-day", by_day)
    found = finish(compare(gallery, EvalProtocol("leave-one-out")))
    for kind, protocol in PROTOCOLS.items():
        split = replace(found.main.split, protocol=EvalProtocol(kind))
        main, *others = [replace(one, split=split) for one in found.evaluations]
        said = evaluation_report.report(replace(found, main=main, others=others), "drawn")
        assert unescape(protocol.sentence) in unescape(said)
