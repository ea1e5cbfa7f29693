"""What came of long work is told also when the gallery that it made has another name by then, or is gone."""

import json

import gradio as gr
import pytest

from tests.support.galleries import packed
from unifex.cli.settings import Settings
from unifex.gallery.library import Library
from unifex.ui.components.chosen_items import ChosenItems, Elsewhere
from unifex.ui.components.index_jobs import IndexJobs, came_of
from unifex.ui.context import AppContext

SECONDS = 60


@pytest.fixture
def context(gallery):
    library = Library(gallery.folder.parent)
    return AppContext(Settings(library=library.folder), library, gallery.embedder)


def test_of_a_packed_gallery_that_was_opened_and_deleted_by_another_program(context, gallery, tmp_path):
    packed(gallery, tmp_path / "packed.zip")
    job = IndexJobs(context).start(str(tmp_path / "packed.zip"), "opened")
    assert job.finished.wait(SECONDS)
    Library(gallery.folder.parent).delete("opened")
    told = came_of(job, going_on=False)
    assert "Gallery &#39;opened&#39; is open" in told
    assert "24 items" in told


def test_of_a_gallery_that_was_made_of_chosen_items_and_renamed(context, gallery):
    with gr.Blocks():
        chosen = ChosenItems(context)
        chosen.build()
        nowhere = Elsewhere(lambda name: {}, lambda name: {}, lambda name, ids: {}, [])
        chosen.wire(gr.State(), gr.State(), nowhere)
    ids = gallery.snapshot().columns.ids[:3].tolist()
    came = chosen.act(json.dumps(["gallery", gallery.name, ids, "few"]))
    (asked,) = came[chosen.awaited]
    assert context.jobs.get(context.owner, asked[0]).finished.wait(SECONDS)
    Library(gallery.folder.parent).rename("few", "some")
    assert "Gallery &#39;few&#39; has 3 images" in chosen.show_jobs((asked,), frozenset())[chosen.outcome]
