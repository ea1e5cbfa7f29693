"""What is uploaded over a slow line: how far it is, stopping it, and what else is done meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect

from tests.support.browsing import go_to, settle, slow_line, wait_until_it_listens
from tests.support.drawing import encoded, picture
from tests.support.serving import Server, serve

pytestmark = pytest.mark.browser
BYTES_A_SECOND = 2_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo) -> Iterator[Server]:
    with serve(shutil.copytree(demo, tmp_path_factory.mktemp("uploading") / "indexes")) as running:
        yield running


@pytest.fixture
def large(tmp_path) -> Path:
    """Takes longer than any of the tests waits."""
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 90 * BYTES_A_SECOND)
    return path


def begin(page: Page, zone: str, file: Path) -> None:
    slow_line(page, upload=BYTES_A_SECOND)
    wait_until_it_listens(page, f"{zone} .drop")
    page.locator(f"{zone} input.files").set_input_files(file)


def leaving_asks(page: Page) -> list[str]:
    """What the browser asks when the tab is closed; nothing: it would be closed."""
    asked = []

    def stay(dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    page.close(run_before_unload=True)
    with contextlib.suppress(PlaywrightError):  # it is closed
        for _ in range(600):
            if not asked:
                page.wait_for_timeout(50)
    return asked


def test_a_large_file_tells_how_far_it_is_and_stops_at_once(server, open_page, large):
    page = open_page(server.url)
    go_to(page, "Gallery")
    begin(page, "#drop", large)
    state, bar = page.locator("#drop .state"), page.locator("#drop progress")
    expect(state).to_have_text(re.compile(r"^Uploading 0 of 1 file, [\d.]+ MB of 180 MB; about .+ to go\.$"))
    assert 0 < bar.evaluate("bar => bar.value") < 1
    for button in ("start-button", "forecast-button"):
        page.locator(f"#{button}").click()
        expect(page.locator("#index-message")).to_contain_text("the files are still being uploaded")
        settle(page)
    assert leaving_asks(page) == ["beforeunload"]
    page.get_by_role("button", name="Stop uploading").click()
    expect(state).to_have_text("Stopped; nothing was taken.")
    expect(bar).to_be_hidden()
    page.locator("#start-button").click()
    expect(page.locator("#index-message")).to_contain_text("nothing to add yet")
    assert leaving_asks(page) == []
    assert page.is_closed()


def test_labelled_folders_for_a_training_do_so_too(server, open_page, large):
    page = open_page(server.url)
    go_to(page, "Train")
    page.get_by_text("or upload labelled folders").click()
    begin(page, "#train-drop", large)
    expect(page.locator("#train-drop .state")).to_contain_text("MB of 180 MB; about")
    assert leaving_asks(page) == ["beforeunload"]
    page.locator("#train-drop").get_by_role("button", name="Stop uploading").click()
    expect(page.locator("#train-drop .state")).to_have_text("Stopped; nothing was taken.")


@pytest.mark.parametrize(
    ("status", "answered", "said"),
    [
        (413, "<html><title>413 Request Entity Too Large", "or a proxy before it, takes no file as large as that"),
        (502, "<html><title>502 Bad Gateway", "HTTP 502"),
        (413, '{"detail": "an upload may have 1 MB here"}', "an upload may have 1 MB here"),
    ],
)
def test_what_is_not_taken_is_told_in_words(server, open_page, tmp_path, status, answered, said):
    page = open_page(server.url, elsewhere=f"{server.url}gradio_api/upload")  # the browser logs what is refused
    page.evaluate("console.error = () => null")  # Gradio says there that it was answered
    page.route("**/gradio_api/upload*", lambda route: route.fulfill(status=status, body=answered))
    file = tmp_path / "a.png"
    file.write_bytes(encoded(picture("signs/cross", 3)))
    page.locator("#query-image input[type=file]").set_input_files(file)
    expect(page.locator(".toast-wrap")).to_contain_text(said)
    expect(page.locator(".toast-wrap")).not_to_contain_text(re.compile("[<{]"))
    go_to(page, "Gallery")
    wait_until_it_listens(page, "#drop .drop")
    page.locator("#drop input.files").set_input_files(file)
    expect(page.locator("#drop .state")).to_contain_text(said)
    expect(page.locator("#drop .state")).not_to_contain_text("<")
