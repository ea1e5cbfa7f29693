"""The Search tab: an image in, the most similar items of a gallery out.

Everything that decides what is found is a value, and one listener answers to all of them: what the page shows at last
is for what the page says at last. A handler that changes values itself asks for that answer by a new :class:`Wish`.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from unifex.core import images
from unifex.core.arrays import sample
from unifex.core.errors import UnifexError
from unifex.core.language import say, say_many
from unifex.core.text import reason
from unifex.gallery.gallery import Gallery
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import MAX_TEXT
from unifex.ui.components.address import address_bar, address_told
from unifex.ui.components.basic import QueryImage, item_grid, notice, signal
from unifex.ui.components.copies import comparing
from unifex.ui.components.filter_bar import HIT_ORDERS, filter_bar
from unifex.ui.components.finding import Finding
from unifex.ui.components.gallery_picker import gallery_picker
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.left_out import LeftOut
from unifex.ui.components.marks import Marks, marks_told
from unifex.ui.components.pressing import or_say
from unifex.ui.components.query_view import Asked, QueryView, thumbnails_of
from unifex.ui.components.saved_searches import SavedSearchList, asked_for, picture_of
from unifex.ui.components.search_form import ANY_SIMILARITY, FIRST, MAX_K, Form, trust_choices
from unifex.ui.components.shared_gallery import ASKED
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import LastResult, Selection, Wish
from unifex.ui.rendering import search_answer
from unifex.ui.rendering.grid import hits_grid, samples_grid
from unifex.ui.rendering.html import hint, message
from unifex.ui.view import View

# What takes an item's place: an event that was put off comes again with those before it (:mod:`unifex.ui.listening`).
_GIVEN = "(image, more) => (image || more?.length ? [''] : [])"
_OF_GALLERY = "(told, gallery) => (told && JSON.parse(told)[0] !== gallery ? [''] : [])"
SAMPLES, DRAWN = 18, 50_000  # samples of many labels are chosen among so many items


@dataclass
class SearchTab:
    """Components that other tabs and the page need, and the handlers."""

    context: AppContext
    item_view: ItemView
    left_out: LeftOut = field(init=False)

    def __post_init__(self) -> None:
        self.left_out, self.finding = LeftOut(self.context), Finding(self.context)
        self.searches = SavedSearchList(self.context)

    @property
    def without(self) -> gr.State:
        """Items that are not to be found."""
        return self.left_out.items

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.pressed, self.within = gr.State(FIRST.pressed), gr.State(FIRST.within)
        self.wish, self.found, self.saved = gr.State(Wish()), gr.State(LastResult()), gr.State(FIRST.saved)
        self.picked, self.regions, self.marked = signal("pick"), signal("regions"), signal("marked")
        self.unasked = signal("unasked")  # a gallery that came in place of one that is gone: nobody asked it yet
        self.marks, self.address = gr.State(FIRST.marks), address_bar()
        with gr.Row(elem_id="search-page"):
            with gr.Column(elem_id="search-query", min_width=280):
                self._build_query()
            with gr.Column(elem_id="search-more", min_width=280):
                self._build_more()
                self.searches.build()
            with gr.Column(elem_id="search-answer", min_width=280):
                self.everywhere = gr.Button(visible=False, size="sm", elem_id="search-everywhere")
                self.left_out.build()
                with gr.Row():
                    self.unmark = gr.Button(visible=False, size="sm", elem_id="forget-marks")
                    self.keep = gr.Button(say("Keep what I taught"), visible=False, size="sm", elem_id="keep-marks")
                self.status = notice("search-status")
                gr.HTML("", elem_id="search-advice", js_on_load="")
                self.finding.copies.build_panel()
                self.view = filter_bar("search-filters", "hits", HIT_ORDERS)
                self.grid = item_grid("hits")
                self.finding.build()
        self._wire()

    def _build_query(self) -> None:
        self.image = QueryImage(
            label=say("Query image"),
            sources=["upload", "clipboard", "webcam"],
            height=240,
            elem_id="query-image",
            buttons=[],
        )
        self.asked = QueryView(self.context).build()
        # what is drawn only when the server has answered moves all that is below it
        with gr.Column(visible=self.context.first_embedder().supports_text) as self.wording:
            self.text = gr.Textbox(
                label=say("Words, alone or with an image"), placeholder=say("a red bicycle"), elem_id="search-words",
                max_length=MAX_TEXT,
            )  # fmt: skip
            self.text_weight = gr.Slider(
                0, 1, value=FIRST.text_weight, step=0.05, label=say("Image or words"), elem_id="search-balance",
                info=say("0 is the image only, 1 the words only"), visible=False,
            )  # fmt: skip
        self.gallery = gallery_picker(self.context, "search-gallery")
        with gr.Row():
            self.go = gr.Button(say("Search"), variant="primary", min_width=80, elem_id="search-button")
            self.clear = gr.Button(say("Clear"), min_width=80, elem_id="clear-button")

    def _build_more(self) -> None:
        with gr.Accordion(say("More images of the same thing"), open=False, elem_id="more-images"):
            self.more = gr.File(
                label=say("They are searched together: the mean of all embeddings"), file_count="multiple", height=120
            )
        with gr.Accordion(say("Hits, copies, similarity"), open=False, elem_id="search-options"):
            self.k = gr.Slider(
                1,
                MAX_K,
                value=FIRST.k,
                step=1,
                label=say("Number of hits"),
                elem_id="search-k",
                info=say("To begin with: more come as you scroll"),
            )
            self.finding.copies.build()
            self.fold = self.finding.copies.level
            self.min_score = gr.Slider(
                ANY_SIMILARITY, 1, value=FIRST.min_score, step=0.01, label=say("Least similarity"),
                info=say("Cosine of the embeddings, -1 to 1"), elem_id="search-min-score",
            )  # fmt: skip
            self.trust = gr.Dropdown(
                trust_choices(), value=FIRST.trust, label=say("Trust"), elem_id="search-trust",
                info=say("Told from the gallery's labels: of queries whose thing is not here, how many may match"),
            )  # fmt: skip
            self.rerank = gr.Checkbox(
                label=say("Re-rank in context"), elem_id="search-context",
                info=say("The gallery's own neighbourhood improves the order; the Evaluate tab says by how much"),
            )  # fmt: skip

    @property
    def filled(self) -> list[Part]:
        """What :meth:`fill` updates."""
        return [*self.form, self.wording, self.everywhere, self.unasked, self.wish]

    @property
    def chosen(self) -> list[Part]:
        """What :meth:`choose_gallery` updates."""
        return [self.view, self.wording, self.text, self.wish]

    @property
    def narrowed(self) -> list[Part]:
        """What :meth:`narrow` and :meth:`widen` update."""
        return [self.within, self.everywhere, self.unasked, self.wish]

    @property
    def _notes(self) -> list[Part]:
        """What :meth:`_noted` updates."""
        return [self.unmark, self.keep, self.left_out.undo, self.text_weight]

    @property
    def form(self) -> list[Component]:
        """Whose values a :class:`Form` holds."""
        return [getattr(self, name) for name in vars(FIRST)]

    def _begun(self, shown: bool) -> Updates:
        """What the form begins with, but the gallery: where the page shows it, or where only the server knows it."""
        parts = {getattr(self, name): value for name, value in vars(FIRST).items() if name != "gallery"}
        return {part: value for part, value in parts.items() if isinstance(part, gr.State) != shown}

    def _wire(self) -> None:
        values = [
            self.wish.change, self.image.upload, self.image.clear, self.more.upload, self.more.delete, self.more.clear,
            self.text.submit, self.text_weight.release, self.k.release, self.view.input, self.min_score.release,
            self.trust.input, self.rerank.input, self.regions.input, self.picked.input,
        ]  # fmt: skip
        answer = [
            self.status, self.grid, self.found, self.saved, self.asked, self.address, self.finding.copies.awaited,
            self.finding.answered, *self._notes,
        ]  # fmt: skip
        self._replace_the_query()
        asking = [self.unasked, *self.form]
        listen(values, self.show, asking, answer, show_progress="minimal", show_progress_on=[self.status])
        listen(self.go.click, lambda: {self.pressed: True, self.wish: Wish.new()}, None, [self.pressed, self.wish])
        fields = self._begun(shown=True)  # the page empties them itself: an answer would take what was typed since
        listen(self.clear.click, None, None, list(fields), js=f"() => {json.dumps(list(fields.values()))}")
        forgotten = [*self._begun(shown=False), self.everywhere, self.wish]
        listen(self.clear.click, self.forget, None, forgotten, counts="first")  # put off, it would empty them again
        self.finding.wire(self.form, self.wish, self.status)
        marking = [self.marks, self.wish]
        mark = or_say(self.status, say("Not marked"), self.mark)
        listen(self.marked.input, mark, [self.marked, *self.form], [self.status, *marking], counts="every")
        listen(self.unmark.click, lambda: {self.marks: Marks(), self.wish: Wish.new()}, None, marking)
        listen(self.keep.click, None, js="() => unifex.askToKeep()")
        self.left_out.wire(self.wish, self.status)
        self.searches.wire(self.finding.answered, self.form, self.finding.filters)
        listen(self.gallery.change, self.choose_gallery, [self.gallery, self.view], self.chosen)
        within = [self.within, self.gallery]
        listen(self.gallery.change, self.offer_everywhere, within, [self.everywhere])
        listen(self.everywhere.click, self.widen, None, self.narrowed)

    def _replace_the_query(self) -> None:
        """An item takes the place of an image, and an image that of an item, in the page: no late answer undoes it."""
        taken = [self.gallery, self.image, self.more, self.regions]
        listen(self.picked.input, None, [self.picked, self.gallery], taken, js="unifex.takesPlace")
        listen([self.image.upload, self.more.upload], None, [self.image, self.more], [self.picked], js=_GIVEN)
        listen(self.gallery.change, None, [self.picked, self.gallery], [self.picked], js=_OF_GALLERY)
        given = [self.image.upload, self.image.clear, self.more.upload, self.more.delete, self.more.clear]
        asked = [self.go.click, self.text.submit, *given, self.picked.input, self.regions.input, self.gallery.input]
        listen(asked, None, None, [self.unasked], js=ASKED)

    # --- handlers: what is asked ---------------------------------------------------------------------------------

    def forget(self) -> Updates:
        """-> no item, nothing chosen on the map, nothing marked or left out, and that it is to be searched."""
        return {**self._begun(shown=False), self.everywhere: gr.update(visible=False), self.wish: Wish.new()}

    def fill(self, form: Form | None) -> Updates:
        """Everything as a form has it, with what its gallery offers, and that it is to be searched; without a form, the
        page as it stands."""
        if form is None:
            return {self.wish: Wish.new()}
        filled: Updates = {getattr(self, name): value for name, value in vars(form).items()}
        offered = self.choose_gallery(form.gallery, form.view)
        knows_words = offered[self.text] == gr.skip()
        return {
            **filled,
            **offered,
            self.unasked: "",
            self.text: form.text if knows_words else "",
            **self.offer_everywhere(form.within, form.gallery),
        }

    def mark(self, told: str, *values: Any) -> Updates:
        """(marks of hits; what the form holds) -> with those made before, and that it is to be searched.

        Raises ``UnifexError``.
        """
        form, (kind, gallery, ids) = Form(*values), marks_told(told)
        if gallery != form.gallery:
            raise UnifexError(say("these hits are of another gallery; search again"))
        return {self.marks: form.counting_marks.add(kind, ids), self.wish: Wish.new()}

    def search_within(self, chosen: Selection) -> Updates:
        """Search among these items alone, as far as they are there."""
        return {self.gallery: chosen.gallery, self.unasked: "", **self.narrow(chosen, chosen.gallery)}

    def widen(self) -> Updates:
        """-> nothing chosen on the map, and that it is to be searched."""
        return {self.within: Selection(), self.everywhere: gr.update(visible=False), self.wish: Wish.new()}

    def offer_everywhere(self, within: Selection, gallery: str | None) -> Updates:
        """(items chosen on the map, gallery) -> the button that undoes the restriction, where there is one."""
        count = len(within.of(gallery))
        text = say_many(
            count,
            "Searching within {count:,} chosen item. Search everywhere",
            "Searching within {count:,} chosen items. Search everywhere",
        )
        return {self.everywhere: gr.update(visible=bool(count), value=text)}

    def narrow(self, within: Selection, gallery: str | None) -> Updates:
        """(items chosen on the map, gallery) -> those that are left, the button, and that it is to be searched."""
        left = within
        with contextlib.suppress(*ERRORS):
            if ids := within.of(gallery):
                left = Selection(within.gallery, tuple(r.id for r in self.context.gallery(gallery).records(ids)))
        offered = self.offer_everywhere(left, gallery)
        return {self.within: left, **offered, self.wish: Wish.new()}

    def choose_gallery(self, gallery: str | None, view: str) -> Updates:
        """(gallery, filters) -> the filters that it knows, words if it knows some, and that it is to be searched.

        Of the same gallery they stay: galleries are listed anew while people choose.
        """
        left, supports_text = View(gallery or "").as_json(), False
        with contextlib.suppress(*ERRORS):
            if gallery:
                opened = self.context.gallery(gallery)
                supports_text = opened.embedder.supports_text
                left = View.parse(view).carried_to(opened).told_as(view)
        return {
            self.view: left,
            self.wording: gr.update(visible=supports_text),
            self.text: gr.skip() if supports_text else "",
            self.wish: Wish.new(),
        }

    def choose_listed(self, gallery: str | None, view: str | None) -> Updates:
        """:meth:`choose_gallery`, as galleries are listed anew; nothing while an address is opened (no ``view``)."""
        return {self.wish: gr.skip()} if view is None else self.choose_gallery(gallery, view)

    # --- handlers: the answer ------------------------------------------------------------------------------------

    def show(self, unasked: str, *values: Any) -> Updates:
        """(gallery that nobody asked; what the form holds) -> status, grid, what was found, and what it was."""
        whole = Form(*values)
        form = whole.unless(unasked)
        address = address_told(form, put_off=whole.words if form is not whole else "")
        shown = {self.saved: form.remembered, self.grid: "", self.found: LastResult(), self.asked: ""}
        shown[self.finding.answered] = form
        return {**shown, self.address: address, **self._noted(form), **self._answer(form)}

    def _noted(self, form: Form) -> Updates:
        """What was marked or left out, and can be taken back; how words and image weigh, where there are both."""
        marks = form.counting_marks
        shown = bool(form.paths or form.item.ids or form.remembered)
        return {
            **self.left_out.noted(form),
            self.unmark: gr.update(visible=bool(marks), value=marks.text),
            self.keep: gr.update(visible=bool(marks) and self.context.can_change(form.gallery)),
            self.text_weight: gr.update(visible=shown and bool(form.words)),
        }

    def _answer(self, form: Form) -> Updates:
        if not form.gallery:
            text = say("Make one in the Gallery tab: drop a folder of images there.")
            return {self.status: message(say("No gallery yet"), text)}
        if not self.context.library.named(form.gallery):
            if self.context.ready.is_set():  # of which there is news
                return {self.status: message(say("There is no gallery '{gallery}' any more", gallery=form.gallery))}
            text = say("{state}. It can be searched in a moment.", state=self.context.state)
            return {self.status: message(say("The gallery is being made"), text)}
        try:
            gallery = self.context.gallery(form.gallery)
            if form.query or form.remembered:
                return self._hits(gallery, form)
            return self._samples(gallery, self.finding.filters(form), form.pressed)
        except images.ImageError as error:
            remedy = say(error.remedy, formats=images.FORMAT_NAMES, aspect=images.MAX_ASPECT)
            text = " ".join([say("Reason: {error}.", error=error), remedy]).strip()
            return {self.status: message(say("This query cannot be read"), text, "error")}
        except ERRORS as error:
            return {self.status: message(say("The search failed"), reason(error), "error")}

    def _hits(self, gallery: Gallery, form: Form) -> Updates:
        query, filters = form.query, self.finding.filters(form)
        result, folding = self.finding.hits(gallery, form, int(form.k))
        whole = asked_for(self.context, gallery, form)
        found = LastResult(gallery.name, whole, tuple(hit.record.id for hit in result.hits))
        shown, settings = picture_of(self.context, gallery, form) or thumbnails_of(gallery, form), self.context.settings
        status = search_answer.search_status(
            result, gallery.name, shown, query.text, places=not settings.public, keeps=not settings.read_only
        )
        if filters.false_accept_rate and result.trusted_from is not None:
            calibration = gallery.calibration()
            status += hint(
                say(
                    "Similarity {least:.2f} and more: that keeps {kept:.0%} of right first hits.",
                    least=result.trusted_from,
                    kept=calibration.kept(calibration.threshold(filters.false_accept_rate)),
                )
            )
        asked = Asked.of(gallery, form, filters, result, strangers=settings.public).as_json()
        if not result.hits:
            nothing = status + search_answer.why_nothing(result, filters)
            return {self.status: nothing, self.found: found, self.asked: asked}
        if result.out_of_gallery:
            status += search_answer.out_of_gallery()
        more, rights = len(result.hits) == form.k, self.context.rights(gallery.name)
        return {
            self.status: status + folding,
            self.grid: hits_grid(gallery, result.hits, rights, form.shown, form.question, Wish.new().number, more),
            self.found: found,
            self.asked: asked,
            self.finding.copies.awaited: folding == comparing(),
        }

    def _samples(self, gallery: Gallery, filters: Filters, pressed: bool) -> Updates:
        """Where nothing is searched with; ``pressed``: somebody wanted to search all the same."""
        snapshot = gallery.snapshot()
        if not len(snapshot):
            return {self.status: search_answer.empty()}
        mask = filters.mask(snapshot)
        positions = np.flatnonzero(mask) if mask is not None else np.arange(len(snapshot))
        if not len(positions):
            return {self.status: search_answer.nothing_left()}
        shown = positions[_varied(snapshot.columns.labels.codes[positions])]
        grid = samples_grid(gallery.name, gallery.records(snapshot.columns.ids[shown]))
        return {self.status: search_answer.no_query() if pressed else "", self.grid: grid}


def _varied(labels: np.ndarray) -> list[int]:
    """Positions of a few items, of as many labels as there are among many, the same at every visit."""
    order = np.random.default_rng(0).permutation(sample(len(labels), DRAWN))
    firsts = order[np.sort(np.unique(labels[order], return_index=True)[1])][:SAMPLES]
    others = order[~np.isin(order, firsts)][: SAMPLES - len(firsts)]
    return sorted([*firsts.tolist(), *others.tolist()])
