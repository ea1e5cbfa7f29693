"""Which of several events counts, as the page's configuration tells it to the browser."""

from collections.abc import Callable

import gradio as gr
import pytest

from unifex.cli.settings import Settings
from unifex.gallery.library import Library
from unifex.ui.app import build
from unifex.ui.components.pressing import LOOK_AT_JOBS
from unifex.ui.context import AppContext
from unifex.ui.listening import follow, listen


def same(value: float) -> float:
    return value


@pytest.fixture
def slider():
    with gr.Blocks():
        yield gr.Slider()


def test_what_counts_is_what_the_browser_is_told(slider):
    value = listen(slider.release, same, [slider], [slider])
    command = listen(slider.release, same, [slider], [slider], counts="every")
    shown = {"show_progress": "minimal", "show_progress_on": [slider]}
    start = listen(slider.release, same, [slider], [slider], counts="first", **shown)
    after = follow(start, same, [slider], [slider])
    modes = [listener["trigger_mode"] for listener in (value, command, start, after)]
    assert modes == ["always_last", "multiple", "once", "always_last"]
    assert {listener["api_visibility"] for listener in (value, command, start, after)} == {"private"}
    assert (value["show_progress"], start["show_progress"]) == ("hidden", "minimal")
    assert [listener["show_progress_on"] for listener in (value, command, start, after)] == [[], [], [slider._id], []]


def test_after_a_failure_nothing_follows_unless_it_is_asked_for(slider):
    before = listen(slider.release, same, [slider], [slider])
    assert follow(before, same, [slider], [slider])["trigger_only_on_success"]
    assert not follow(before, same, [slider], [slider], always=True)["trigger_only_on_success"]


def served(listener) -> Callable:
    """The handler as Gradio calls it."""
    return gr.context.Context.root_block.fns[listener["id"]].fn


def test_what_a_handler_gives_back_as_it_read_it_is_not_written(slider):
    """Somebody may have changed it since."""
    other = gr.Dropdown(["a", "b"])

    def act(value: float, chosen: str) -> dict:
        return {slider: min(value, 5), other: gr.update(choices=["a", "b", "c"], value=chosen)}

    both = [slider, other]
    first = listen(slider.release, act, both, both)
    for fn in (served(first), served(follow(first, act, both, both))):
        kept, mended = fn(3, "a"), fn(7, "a")
        assert kept == {slider: gr.skip(), other: gr.update(choices=["a", "b", "c"])}
        assert mended[slider] == 5


def test_a_handler_answers_once(slider):
    def act(value: float):
        yield {slider: gr.update(value=9)}
        yield {slider: gr.skip()}  # the browser may never have shown the 9

    for listens in (listen, follow):
        on = slider.release if listens is listen else listen(slider.release, same, [slider], [slider])
        with pytest.raises(ValueError, match="answers more than once"):
            listens(on, act, [slider], [slider])


def test_an_event_with_data_of_its_own_cannot_count_last(slider):
    def act(event: gr.EventData) -> str:
        return str(event)

    with pytest.raises(ValueError, match="with that of the first"):
        listen(slider.release, act, None, [slider])
    listen(slider.release, act, None, [slider], counts="every")


def test_the_answer_to_a_press_cannot_wipe_what_came_of_its_job(tmp_path, embedder):
    """A job may have ended, and be shown, before the handler that asked for it has answered. Who pressed something else
    meanwhile is not taken to it."""
    page = build(AppContext(Settings(library=tmp_path), Library(tmp_path), embedder))
    listeners = {listener["id"]: listener for listener in page.config["dependencies"]}
    html = {part["id"]: part["props"].get("elem_id") for part in page.config["components"] if part["type"] == "html"}
    texts = {id: name for id, name in html.items() if not str(name).startswith("signal-")}  # where nothing is shown
    panels = {
        part["id"] for part in page.config["components"] if "data-job-kinds" in str(part["props"].get("html_template"))
    }
    asking = [listeners[after["trigger_after"]] for after in listeners.values() if after["js"] == LOOK_AT_JOBS]
    showing = [one for one in listeners.values() if any(target in panels for target, _ in one["targets"])]
    assert len(asking) >= 10
    assert len(showing) >= 7
    notices = {
        part["id"]: "of-job" in (part["props"]["elem_classes"] or [])
        for part in page.config["components"]
        if "reveal.js" in str(part["props"].get("js_on_load"))
    }
    told = {output for listener in showing for output in listener["outputs"] if output in notices}
    assert {texts[output] for output in told if not notices[output]} == {"correction-notice"}  # which is emptied there
    asked = {texts.get(output) for listener in asking for output in listener["outputs"]}
    shown = {texts.get(output) for listener in showing for output in listener["outputs"]}
    assert asked & shown <= {None}


# What is right to be written whatever stands there, by the handler that writes it.
WRITTEN_UNREAD = {
    "ChosenItems.act": "a gallery was made, or is shown on the map: it is gone to",
    "ChosenItems.keep": "a gallery was made: it is gone to",
    "ChosenItems.show_jobs": "a gallery was made: it is gone to",
    "search_within": "a press that searches in the gallery of the map",
    "SearchTab.choose_gallery": "words are emptied where the model knows none, and the box goes",
    "SearchTab.choose_listed": "as choose_gallery",
    "EvaluateTab.choose_gallery": "what there is to choose from, and no choice",
    "EvaluateTab.show_job": "of a new evaluation all labels are shown",
    "TrainTab.show_data": "the recipe that suits another gallery",
    "TrainTab.show_job": "what can be done with another model that was trained",
    "TrainTab.show_jobs": "as show_job",
    "TrainTab.show_model": "as show_job",
    "ModelPicker.listed": "the models that there are, as the box is opened",
}
EDITED = (gr.Dropdown, gr.Textbox, gr.Checkbox, gr.Slider, gr.Number, gr.Radio, gr.CheckboxGroup, gr.Image, gr.File)


def test_no_answer_is_written_over_what_somebody_typed_or_chose_meanwhile(tmp_path, embedder):
    """A handler that writes what people edit reads it: what it gives back as it read it is not written."""
    page = build(AppContext(Settings(library=tmp_path), Library(tmp_path), embedder))
    edited = {id for id, part in page.blocks.items() if isinstance(part, EDITED) or "filters" in str(part.elem_id)}
    blind = {
        (fn.fn.__qualname__.rpartition("<locals>.")[2], part.elem_id)
        for fn in page.fns.values()
        if fn.fn
        for part in fn.outputs
        if part._id in edited and part not in fn.inputs
    }
    assert {(name, part) for name, part in blind if name not in WRITTEN_UNREAD} == set()
    assert {name for name, _ in blind} == set(WRITTEN_UNREAD)
