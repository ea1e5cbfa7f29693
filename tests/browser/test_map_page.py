"""The map as a page of its own, in a real browser: what is drawn by what."""

import numpy as np
from playwright.sync_api import expect

from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from unifex.core.language import speak
from unifex.gallery import corrections
from unifex.gallery.gallery import Gallery
from unifex.maps import page as map_page
from unifex.maps.projection import Map

LONG = "y" * 5000
TRACES = "document.querySelector('.map-plot').data.map(({ name, marker }) => [name, marker.symbol, marker.color])"

HOVER = """(id) => document.querySelector('.map-plot').emit('plotly_hover',
    { points: [{ customdata: id }], event: { clientX: 300, clientY: 300 } })"""


def test_long_labels_leave_the_map_its_place_and_verdicts_differ_by_shape(tmp_path, embedder, browser):
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures", views=3))
    records = gallery.records(gallery.snapshot().columns.ids)
    with gallery.write() as writer:
        writer.correct([corrections.relabel(record, LONG) for record in records[:2]])
    places = np.random.default_rng(0).standard_normal((len(records), 2)).astype(np.float32)
    places[1] = places[0]
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_content(map_page.page(gallery, Map(gallery.snapshot().columns.ids, places, "m")))
    page.locator(".map-colour").select_option(label="label")
    entry = page.locator(".map-plot .legend .traces", has_text="yyy")
    assert entry.locator(".legendtext").text_content() == "y" * 31 + "… (2)"
    assert entry.locator("title").text_content() == LONG
    assert page.locator(".map-plot .nsewdrag").first.bounding_box()["width"] > 700
    page.locator(".map-colour").select_option(label="first hit")
    page.wait_for_function("document.querySelector('.map-plot').data.some((trace) => /^wrong/.test(trace.name))")
    traces = page.evaluate(TRACES)
    assert {"right", "wrong"} <= {name.split()[0] for name, *_ in traces}
    assert len({symbol for _, symbol, _ in traces}) == len({colour for *_, colour in traces}) == len(traces)
    page.evaluate(HOVER, records[0].id)
    page.locator(".map-tip", has_text="2 items in this place").wait_for()
    assert page.locator(".map-tip b").text_content() == "y" * 199 + "…"
    page.close()


def test_its_tools_are_called_in_the_language_that_is_spoken(tmp_path, embedder, browser):
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures", views=1))
    ids = gallery.snapshot().columns.ids
    drawn = Map(ids, np.random.default_rng(0).standard_normal((len(ids), 2)).astype(np.float32), "m")
    tools = {"en": ["Lasso Select", "Pan", "Zoom in"], "de": ["Mit dem Lasso auswählen", "Verschieben", "Vergrößern"]}
    for name, called in tools.items():
        speak(name)
        try:
            written = map_page.page(gallery, drawn)
        finally:
            speak("en")
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_content(written)
        for text in called:
            expect(page.locator(f".modebar-btn[data-title='{text}']")).to_have_count(1)
        page.close()


def test_clusters_carry_names_and_a_label_is_found_and_seen_from_near(tmp_path, embedder, browser):
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures", views=6))
    columns = gallery.snapshot().columns
    around = np.random.default_rng(0).uniform(-0.5, 0.5, (len(columns.ids), 2))
    places = (around + 8.0 * np.column_stack([columns.labels.codes, columns.labels.codes % 2])).astype(np.float32)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_content(map_page.page(gallery, Map(columns.ids, places, "m"), thumbnails=True))
    expect(page.get_by_text("Drag to select")).to_be_visible()
    expect(page.get_by_text("Drag to move the map")).to_be_hidden()
    labels = {str(name) for name in columns.labels.names}
    page.wait_for_function("(count) => document.querySelectorAll('.map-name').length === count", arg=len(labels))
    assert set(page.locator(".map-name").all_text_contents()) == labels
    wanted = sorted(labels)[0]
    page.locator(".map-find").fill(wanted)
    page.locator(".map-find").press("Enter")
    expect(page.locator(".map-found")).to_have_text("6 items")
    expect(page.locator(".map-name")).to_have_text([wanted])
    expect(page.locator(".map-thumb").first).to_be_visible()
    page.locator(".map-find").fill("no such thing")
    page.locator(".map-find").press("Enter")
    expect(page.locator(".map-found")).to_have_text("nothing is called so")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_text("Drag to select")).to_be_hidden()
    expect(page.get_by_text("Drag to move the map")).to_be_visible()
    page.close()
