"""Filters over the map: what they leave out fades. They are those of the grids, either way."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import gradio as gr
import numpy as np

from unifex.core.errors import UnifexError
from unifex.gallery.gallery import Gallery
from unifex.ui.components.filter_bar import filter_bar
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Updates
from unifex.ui.view import View


@dataclass
class MapFilters:
    """``view``: the filter bar; ``left``: which items it leaves, for the drawing; ``browsed``: the filters that were
    set last over a gallery's pictures, empty where those of the Search tab were set since."""

    context: AppContext

    def build(self) -> None:
        """Lay the bar out."""
        self.browsed = gr.HTML("", html_template="", visible="hidden")  # the page's own, there before any answer
        self.view = filter_bar("map-filters", "map", {})
        self.left = gr.HTML("", html_template="", js_on_load=told_to_map("left"), elem_id="map-left")

    def show(self, name: str | None, view: str, searched: str, browsed: str = "") -> Updates:
        """(gallery, filters, those of hits, those set last over pictures) -> the bar, as it was set last anywhere."""
        try:
            return {self.view: _shown(self.context.gallery(name), searched, browsed).told_as(view)}
        except ERRORS:  # what the tab itself says
            return {self.view: View(name or "").as_json()}

    def narrow(self, name: str | None, view: str) -> Updates:
        """(gallery, filters) -> what they leave of it."""
        try:
            return {self.left: self._left(self.context.gallery(name), View.parse(view))}
        except ERRORS:
            return {self.left: ""}

    def _left(self, gallery: Gallery, view: View) -> str:
        """Of each item's id a bit, as JSON; empty where nothing is left out. Raises ``UnifexError``."""
        if not (view.chosen or view.between):
            return ""
        left = self.context.listed(gallery, view)
        stays = np.zeros(int(left.max(initial=0)) + 1, bool)
        stays[left] = True
        bits = base64.b64encode(np.packbits(stays).tobytes()).decode()
        return json.dumps({"gallery": gallery.name, "bits": bits})


def told_to_map(what: str) -> str:
    """The script that tells the drawing (assets/map-in-app.js) of a value."""
    return f"""
const tell = () => {{
  (window.unifexMap ||= {{}}).{what} = props.value ? JSON.parse(props.value) : null;
  window.dispatchEvent(new CustomEvent('unifex-map', {{ detail: '{what}' }}));
}};
watch('value', tell);
tell();
"""


def _shown(gallery: Gallery, searched: str, browsed: str) -> View:
    """Those that were set last, as far as they can be said of this gallery."""
    try:
        last = View.parse(browsed)
        view = last if browsed and last.gallery == gallery.name else View.parse(searched).carried_to(gallery)
    except UnifexError:
        view = View()
    return View(gallery.name, view.chosen, view.between)
