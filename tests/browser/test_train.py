"""Training in a real browser: upload, train, watch, use, go back; stop, go on, keep; what cannot be done."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import (
    PHONE,
    choose,
    drop,
    first_hit,
    go_to,
    place_of,
    press_for_job,
    reload,
    settle,
    wait_until_it_listens,
)
from tests.support.drawing import LABELS, encoded, picture, write_folder
from tests.support.galleries import make_model, run_index
from tests.support.serving import Server, serve
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder

pytestmark = pytest.mark.browser

QUERY = encoded(picture("signs/cross", 90))
THREE_EPOCHS_JS = "document.querySelector('#train-curves .curves').data?.every((trace) => trace.y.length === 3)"


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Server:
    """A server with a labelled gallery and one without any label."""
    base = tmp_path_factory.mktemp("train")
    write_folder(base / "pictures", views=8)
    run_index(Gallery.create(base / "indexes" / "drawn", embedder), base / "pictures")
    (base / "plain").mkdir()
    for view in range(5):
        (base / "plain" / f"{view}.png").write_bytes(encoded(picture("shapes/disc", view)))
    run_index(Gallery.create(base / "indexes" / "plain", embedder), base / "plain")
    with serve(base / "indexes") as running:
        yield running


def field(page: Page, name: str):
    return page.locator(f"#{name} input, #{name} textarea").first


def open_training(page: Page, gallery: str) -> None:
    go_to(page, "Train")
    settle(page)  # the tab takes over the gallery that is being searched
    if field(page, "train-gallery").input_value() != gallery:
        choose(page, "#train-gallery", gallery)


def rename(page: Page, name: str, new: str) -> None:
    go_to(page, "Gallery")
    choose(page, "#manage-gallery", name)
    page.get_by_role("button", name="Rename").first.click()
    settle(page)  # fields that have just appeared take their first value once more
    field(page, "new-name").fill(new)
    page.locator("#rename-button").click()
    expect(page.locator("#manage-notice")).to_contain_text(f"'{name}' is now '{new}'")
    settle(page)


def scores(page: Page) -> list[float]:
    """Of the first 20 hits: further ones come by themselves once the end of these is in view."""
    bars = page.locator("#hits .grid[data-kind=hits] .card .score i")
    return bars.evaluate_all("bars => bars.slice(0, 20).map((bar) => parseFloat(bar.style.width) / 100)")


def upload_labelled(page: Page, folder: Path) -> None:
    """Seven pictures of every label, in the Train tab; the gallery has the folder's name."""
    for label in LABELS:
        for view in range(7):
            path = folder / label.replace("/", "-") / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(label, 20 + view)))
    page.get_by_text("or upload labelled folders").click()
    wait_until_it_listens(page, "#train-drop .drop")
    page.locator("#train-drop input.folder").set_input_files(folder)
    expect(field(page, "train-gallery")).to_have_value(folder.name, timeout=120_000)
    expect(field(page, "train-name")).to_have_value(f"{folder.name}-neck")


def test_upload_a_folder_train_use_it_see_hits_change_and_go_back(server, open_page, tmp_path):
    page = open_page(server.url)
    open_training(page, "drawn")
    expect(page.locator("#train-data")).to_contain_text("looked for among all labelled items")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "labels.csv").write_text("path,label\n", encoding="utf-8")
    upload_labelled(page, tmp_path / "figures")
    received = page.locator("#train-received")
    expect(received).to_contain_text("28 images added to 'figures'")
    received.get_by_text("1 file left out, and why").click()
    expect(received).to_contain_text("a table; called manifest.csv, at the top, it would give the labels")
    expect(page.locator("#train-data .tiles")).to_contain_text(
        "20"
    )  # few images: two of the seven of every class are held out
    go_to(page, "Search")
    expect(field(page, "search-gallery")).to_have_value("figures")
    drop(page, "#query-image button", {"cross.png": QUERY})
    expect(first_hit(page)).to_contain_text("cross")
    expect(page.locator("#search-status")).to_contain_text("unifex-lite-4")
    settle(page)
    before = scores(page)

    go_to(page, "Train")
    choose(page, "#train-preset", "Quick")
    page.locator("#train-button").click()
    expect(page.locator("#before-after-table")).to_be_visible(timeout=120_000)
    expect(page.locator("#train-curves .scatterlayer .trace")).to_have_count(3)
    page.wait_for_function(THREE_EPOCHS_JS)
    expect(page.locator("#train-outcome")).to_contain_text(re.compile("Use it|keep|Do not use it"))
    expect(page.locator("#before-after-table")).to_contain_text("figures-neck")
    with page.expect_download() as download:
        page.locator("#train-download").click()
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    assert {"figures-neck/config.json", "figures-neck/model.safetensors"} <= set(archive.namelist())
    assert json.loads(archive.read("figures-neck/config.json"))["name"] == "figures-neck"

    choose(page, "#train-file", "ONNX, 64-d")
    expect(page.locator("#train-file-notice")).to_contain_text("ONNX is ready to download", timeout=120_000)
    with page.expect_download() as download:
        page.locator("#train-download").click()
    assert download.value.suggested_filename == "figures-neck.onnx"

    page.locator("#train-use").click()
    expect(page.locator("#train-notice")).to_contain_text("Searching with 'figures-neck' now")
    expect(page.locator("#train-notice")).to_contain_text("'figures': 28 items")
    go_to(page, "Search")
    expect(page.locator("#search-status")).to_contain_text("figures-neck")
    settle(page)
    after = scores(page)
    assert after != before
    model = Embedder.load("figures-neck", models=server.indexes / "models")
    gallery = Gallery.open(server.indexes / "figures")
    items = gallery.snapshot().embeddings
    expected = np.sort(items @ model.embed([QUERY])[0])[::-1][:20].clip(0.02)  # a bar has a width
    assert after == pytest.approx(expected.tolist(), abs=6e-4)

    go_to(page, "Train")
    page.get_by_role("button", name="Go back to 'unifex-lite-4'").click()
    expect(page.locator("#train-notice")).to_contain_text("Searching with 'unifex-lite-4' now")
    go_to(page, "Search")
    expect(page.locator("#search-status")).to_contain_text("unifex-lite-4")
    settle(page)
    assert scores(page) == before


@pytest.mark.slow
def test_a_change_of_model_is_told_once_of_its_gallery_and_what_becomes_of_that_hinders_no_training(
    server, embedder, open_page, tmp_path
):
    run_index(Gallery.create(server.indexes / "used", embedder), write_folder(tmp_path / "pictures", views=2))
    library = Library(server.indexes)
    finish(library.use("used", make_model(embedder, "other")))
    page = open_page(server.url)
    open_training(page, "used")
    told = page.locator("#train-notice")
    page.get_by_role("button", name="Go back to 'unifex-lite-4'").click()
    expect(told).to_contain_text("Searching with 'unifex-lite-4' now")
    expect(told).to_contain_text("'used': 8 items")
    open_training(page, "drawn")
    expect(told).to_be_empty()
    reload(page)
    open_training(page, "used")
    expect(page.get_by_role("button", name="Go back to 'other'")).to_be_visible()
    expect(told).to_be_empty()
    library.rename("used", "renamed")  # another program
    reload(page)
    open_training(page, "drawn")
    choose(page, "#train-preset", "Quick")
    field(page, "train-name").fill("after-neck")
    page.locator("#train-button").click()
    expect(page.locator("#before-after-table")).to_contain_text("after-neck", timeout=120_000)
    expect(page.locator("#train-curves .scatterlayer .trace")).to_have_count(3)


def test_what_a_gallery_has_trained_is_found_again_after_a_second_training_a_rename_and_a_restart(
    embedder, open_page, tmp_path
):
    indexes, models = tmp_path / "indexes", {"drawn-neck": "Quick", "drawn-neck-2": "Few"}
    run_index(Gallery.create(indexes / "drawn", embedder), write_folder(tmp_path / "pictures", views=8))
    with serve(indexes) as running:
        page = open_page(running.url)
        open_training(page, "drawn")
        opened = field(page, "train-models")
        expect(opened).to_be_hidden()
        for model, preset in models.items():
            expect(field(page, "train-name")).to_have_value(model)
            choose(page, "#train-preset", preset)
            press_for_job(page, "#train-button")
            expect(page.locator("#before-after-table")).to_contain_text(model, timeout=120_000)
            expect(opened).to_have_value(model)
        settle(page)
        choose(page, "#train-models", "drawn-neck")
        expect(page.locator("#train-outcome")).to_contain_text("drawn-neck: ")
        page.wait_for_function(THREE_EPOCHS_JS)
        settle(page)
        rename(page, "drawn", "renamed")
        go_to(page, "Train")
        expect(field(page, "train-gallery")).to_have_value("renamed")
        expect(page.locator("#train-outcome")).to_contain_text("drawn-neck-2: ")
        expect(opened).to_have_value("drawn-neck-2")
        page.close()
    with serve(indexes) as running:
        page = open_page(running.url)
        open_training(page, "renamed")
        expect(field(page, "train-models")).to_have_value("drawn-neck-2")
        expect(page.locator("#before-after-table")).to_contain_text("drawn-neck-2")
        choose(page, "#train-models", "drawn-neck")
        page.wait_for_function(THREE_EPOCHS_JS)
        expect(page.locator("#train-outcome")).to_contain_text("drawn-neck: ")
        with page.expect_download() as download:
            page.locator("#train-download").click()
        assert download.value.suggested_filename == "drawn-neck.zip"
        press_for_job(page, "#train-use")
        expect(page.locator("#train-notice")).to_contain_text("Searching with 'drawn-neck' now")
        page.close()


@pytest.mark.slow
def test_late_blocks_learn_from_an_uploaded_folder_and_a_gallery_of_its_own_has_other_hits(server, open_page, tmp_path):
    page = open_page(server.url)
    open_training(page, "drawn")
    upload_labelled(page, tmp_path / "deeper")
    choose(page, "#train-preset", "Deep")
    settle(page)
    page.locator("#train-advanced").get_by_text("Advanced").click()
    settle(page)
    field(page, "train-epochs").fill("1")
    settle(page)
    page.locator("#train-button").click()
    expect(page.locator("#before-after-table")).to_be_visible(timeout=120_000)
    expect(page.locator("#before-after-table")).to_contain_text("raw, deeper-neck")
    expect(page.locator("#train-use")).to_contain_text("Index anew with it")
    page.locator("#train-use").click()
    expect(page.locator("#train-notice")).to_contain_text("'deeper (deeper-neck)': 28 items", timeout=120_000)
    go_to(page, "Search")
    found = []
    for gallery in ("deeper", "deeper (deeper-neck)"):
        choose(page, "#search-gallery", gallery)
        drop(page, "#query-image button", {"cross.png": QUERY})
        expect(page.locator("#search-status")).to_contain_text(f"among 28 items of {gallery}")
        expect(first_hit(page)).to_contain_text("cross")
        settle(page)
        found.append(scores(page))
    assert found[0] != found[1]
    expect(page.locator("#search-status")).to_contain_text("deeper-neck")


def start_long_training(page: Page, name: str = "drawn-neck") -> None:
    open_training(page, "drawn")
    field(page, "train-name").fill(name)
    choose(page, "#train-preset", "Best")  # few images have chosen the preset that takes one step
    settle(page)
    page.locator("#train-advanced").get_by_text("Advanced").click()
    settle(page)  # fields that have just appeared take their first value once more
    field(page, "train-epochs").fill("1000")
    field(page, "train-batch-size").fill("2")  # so that it takes minutes
    settle(page)
    expect(field(page, "train-epochs")).to_have_value("1000")
    expect(field(page, "train-batch-size")).to_have_value("2")
    page.locator("#train-button").click()
    expect(page.locator("#train-progress")).to_contain_text(re.compile(r"epoch ([3-9]|\d\d+) "), timeout=120_000)


def test_it_goes_on_without_its_page_is_stopped_gone_on_with_and_kept_while_another_searches(server, open_page):
    page, other = open_page(server.url), open_page(server.url)
    open_training(page, "drawn")
    expect(field(page, "train-name")).to_have_value("drawn-neck")
    start_long_training(page)
    page.close()
    choose(other, "#search-gallery", "drawn")
    drop(other, "#query-image button", {"cross.png": QUERY})
    expect(first_hit(other)).to_contain_text("cross")
    later = open_page(server.url)
    open_training(later, "drawn")
    panel = later.locator("#train-progress")
    expect(panel).to_contain_text(re.compile(r"epoch ([4-9]|\d\d+) "), timeout=120_000)
    expect(later.locator("#train-curves .scatterlayer .trace")).to_have_count(3)
    other.locator(".jobs-now").click()
    other.locator("#jobs .cancel").click()  # any page of the owner's
    expect(later.locator("#train-status")).to_contain_text("Stopped")
    expect(later.locator("#train-button")).to_be_visible()

    reload(later)  # as after a restart
    later.wait_for_selector("#header .ready")
    open_training(later, "drawn")
    expect(later.locator("#train-resume")).to_have_text("Go on with 'drawn-neck'")
    expect(field(later, "train-name")).to_have_value("drawn-neck-2")  # a further one does not take its place
    later.locator("#train-resume").click()
    expect(panel).to_contain_text(re.compile(r"epoch ([4-9]|\d\d+)"), timeout=120_000)
    panel.locator(".cancel").click()
    expect(later.locator("#train-finish")).to_be_visible()
    later.locator("#train-finish").click()
    expect(later.locator("#before-after-table")).to_be_visible(timeout=120_000)
    assert (server.indexes / "models" / "drawn-neck" / "model.safetensors").is_file()
    expect(later.locator("#train-finish")).to_be_hidden()


REFUSED = (
    ("train-name", "unifex-lite-4", "there is a model 'unifex-lite-4' already"),
    ("train-name", "a/b", "cannot name a model"),
    ("train-dropout", "3", "Dropout 3.0 is not between 0 and 0.95"),
    ("train-dims", "wide", "Sizes of embeddings 'wide' is not a number"),
    ("train-min-images", "99", "not enough to train on"),
)


@pytest.mark.slow
def test_a_training_that_ends_while_another_gallery_is_chosen_is_told(server, open_page):
    page = open_page(server.url)
    start_long_training(page, "told-neck")
    choose(page, "#train-gallery", "plain")
    page.locator("#train-progress .cancel").click()
    ended = page.locator("#jobs-list .ended")
    expect(ended).to_have_count(1, timeout=120_000)
    page.set_viewport_size(PHONE["viewport"])
    name, theme, told = (place_of(page.locator(f"#top {part}")) for part in ("h1", ".theme", ".jobs-now"))
    assert name["x"] + name["width"] <= theme["x"] <= told["x"] - theme["width"], (name, theme, told)
    assert told["x"] + told["width"] <= 390
    expect(page.locator("#jobs .jobs-now .how")).to_have_text("cancelled")
    assert page.locator("#jobs .jobs-now .how").evaluate("part => part.scrollWidth <= part.clientWidth")
    page.locator("#jobs .jobs-now").click()
    expect(ended).to_contain_text("Training 'told-neck'")
    ended.get_by_role("button", name="Show").click()
    expect(field(page, "train-gallery")).to_have_value("drawn")
    expect(page.locator("#train-status")).to_contain_text("Stopped")
    page.locator("#train-finish").click()  # what is left stopped is offered in every header
    expect(page.locator("#before-after-table")).to_be_visible(timeout=120_000)


def test_presets_set_their_fields_and_what_cannot_be_trained_says_why(server, open_page):
    page = open_page(server.url)
    open_training(page, "drawn")
    page.locator("#train-advanced").get_by_text("Advanced").click()
    settle(page)
    choose(page, "#train-preset", "Paper")
    expect(field(page, "train-loss")).to_have_value("subcentre-arcface")
    expect(field(page, "train-dims")).to_have_value("64")
    expect(field(page, "train-sub-centres")).to_have_value("3")
    choose(page, "#train-loss", "cosface")
    expect(field(page, "train-margin")).to_have_value("0.35")
    expect(field(page, "train-sub-centres")).to_have_value("1")
    expect(page.locator("#train-loss")).to_contain_text("CosFace: a cosine")
    settle(page)
    for box, text, why in REFUSED:
        usual = field(page, box).input_value()
        field(page, box).fill(text)
        page.locator("#train-button").click()
        said = page.locator("#train-problem, #train-status")  # what cannot start, and what ended at once
        expect(said.filter(has_text=why)).to_be_visible()
        expect(page.locator("#train-button")).to_be_visible()
        settle(page)  # what is typed while an answer is drawn may be lost
        field(page, box).fill(usual)
        expect(page.locator("#train-problem")).to_be_empty()
        settle(page)


def test_a_gallery_without_labels_says_what_it_needs(server, open_page):
    page = open_page(server.url, **PHONE)
    open_training(page, "drawn")
    expect(page.locator("#train-preset")).to_contain_text("32 labelled images are few")
    open_training(page, "plain")
    expect(page.locator("#train-data")).to_contain_text("training needs at least 2")
    expect(page.locator("#train-preset")).not_to_contain_text("labelled images")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_few_images_that_are_dropped_bring_their_preset_whole(server, open_page, tmp_path):
    page = open_page(server.url)
    go_to(page, "Train")
    settle(page)
    for turn in range(3):  # what was lost was lost in four of five
        upload_labelled(page, tmp_path / f"dropped{turn}")
        settle(page)
        expect(field(page, "train-preset")).to_have_value("Few")
        expect(page.locator("#train-preset")).to_contain_text("28 labelled images are few")
        page.get_by_text("or upload labelled folders").click()
