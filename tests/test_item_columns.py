"""What is read only of the items that came since is what is read of all of them, whatever was done to a gallery."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from unifex.core.metadata import FileMetadata
from unifex.data.item import Item, Labels
from unifex.gallery import corrections, item_columns
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Embedded
from unifex.gallery.snapshot import CategoricalColumn

LABELS = st.builds(
    Labels,
    label=st.sampled_from(["", "apple", "bear", "Zebra"]),
    domain=st.sampled_from(["", "animals", "fruit"]),
    split=st.sampled_from(["", "train"]),
    extra=st.dictionaries(st.sampled_from(["town", "taken", "camera"]), st.sampled_from(["Ulm", "2021"]), max_size=2),
)
FILES = st.sampled_from(
    [FileMetadata(), FileMetadata({"taken": "2020-01-02"}, ("harbour",)), FileMetadata({"camera": "A"})]
)
PICTURES = st.integers(0, 11)  # the same one shows the same image
PLACES = st.integers(0, 15)


def texts(column: CategoricalColumn) -> tuple[list[str], list[int]]:
    return column.names.tolist(), column.codes.tolist()


class Changes(RuleBasedStateMachine):
    """One gallery that stays open, and what a fresh look at its database says."""

    embedder = None

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.gallery = Gallery.create(Path(self.scratch.name) / "pictures", self.embedder)
        with self.gallery.write() as writer:
            self.source = writer.begin_source("somewhere", keep=False)

    def teardown(self) -> None:
        self.look()
        self.scratch.cleanup()

    def one(self, at: int) -> list[int]:
        """Of the items that there are, if there are any; the gallery's own look at them is left to :meth:`look`."""
        ids = self.gallery.database.item_table().ids.tolist()
        return [ids[at % len(ids)]] if ids else []

    @rule(added=st.lists(st.tuples(PLACES, PICTURES, LABELS), min_size=1, max_size=4, unique_by=lambda one: one[0]))
    def add(self, added):
        """Items come; of those at a place that has one the old one is in the way."""
        batch = []
        for place, picture, labels in added:
            name, sha256 = f"folder{place % 3}/{place}.png", hashlib.sha256(bytes([picture])).hexdigest()
            item = Item(f"/{name}", name, bytes, labels)
            features = np.random.default_rng(picture).standard_normal(self.embedder.backbone.feature_dim)
            batch.append(Embedded(item, sha256, 8, 8, 9, features.astype(np.float16), b"\xff\xd8"))
        with self.gallery.write() as writer:
            writer.commit(self.source, batch)

    @rule(at=PLACES, label=st.sampled_from(["apple", "cherry"]), kind=st.sampled_from(["relabel", "drop"]))
    def correct(self, at, label, kind):
        said = corrections.drop if kind == "drop" else partial(corrections.relabel, label=label)
        with self.gallery.write() as writer:
            writer.correct([said(record) for record in self.gallery.records(self.one(at))])

    @rule()
    def undo(self):
        with self.gallery.write() as writer:
            writer.undo(self.gallery.corrections())

    @rule(at=PLACES, labels=LABELS)
    def say_otherwise(self, at, labels):
        with self.gallery.write() as writer:
            stored = list(writer.stored().values())
            for old in [stored[at % len(stored)]] if stored else []:
                writer.list_items(self.source, [(old, Item(old.uri, old.path, bytes, labels))])

    @rule(at=PLACES, tag=st.sampled_from(["good", "bad"]))
    def tag(self, at, tag):
        with self.gallery.write() as writer:
            writer.tag(self.one(at), [tag])

    @rule(file=FILES)
    def describe(self, file):
        with self.gallery.write() as writer:
            writer.describe({sha256: file for sha256 in sorted(writer.unasked())[:2]})

    @rule(at=PLACES, last=st.booleans())
    def remove(self, at, last):
        with self.gallery.write() as writer:
            writer.remove(self.one(-1 if last else at))

    @rule()
    def move(self):
        with self.gallery.write() as writer:
            writer.relocate(lambda place: place.replace("/folder0/", "/moved/") if "/folder0/" in place else None)

    @rule(at=PLACES, place=PLACES, labels=LABELS)
    def find_elsewhere(self, at, place, labels):
        name = f"elsewhere/{place}.png"
        with self.gallery.write() as writer:
            stored = list(writer.stored().values())
            for old in [stored[at % len(stored)]] if stored else []:
                elsewhere = Embedded(Item(f"/{name}", name, bytes, labels), old.sha256)
                writer.commit(self.source, [], moved=[(old.id, elsewhere)])

    @rule()
    def tidy(self):
        """What is in the way of others goes."""
        with self.gallery.write() as writer:
            writer.tidy()

    @rule()
    def look(self):
        """Both are the same, however much lies between two looks."""
        seen = self.gallery.snapshot()
        fresh = self.gallery.database
        table, (version, further) = fresh.item_table(), fresh.further_columns(seen.columns.ids)
        assert seen.columns.version == table.version == version
        assert seen.columns.ids.tolist() == table.ids.tolist()
        assert seen.columns.hashes.tolist() == table.hashes.tolist()
        assert seen.columns.labelling == table.labelling
        for name in ("domains", "splits", "labels"):
            assert texts(getattr(seen.columns, name)) == texts(getattr(table, name))
        assert texts(seen.further.folders) == texts(further.folders)
        assert {k: texts(v) for k, v in seen.further.extra.items()} == {k: texts(v) for k, v in further.extra.items()}
        for name in ("names", "codes", "positions", "items"):
            assert np.array_equal(getattr(seen.further.tags, name), getattr(further.tags, name))


def test_what_came_since_is_all_that_is_read_and_nothing_else_is_missed(embedder):
    machine = type("Machine", (Changes,), {"embedder": embedder})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_items_that_were_there_are_not_read_again(embedder, tmp_path):
    gallery = Gallery.create(tmp_path / "pictures", embedder)
    features = np.ones(embedder.backbone.feature_dim, np.float16)

    def first_read(name: str) -> int:
        """The id after which items are read when one has come to those that are known."""
        known, asked = gallery.snapshot().columns, list[str]()
        with gallery.write() as writer:
            entry = Embedded(Item(f"/{name}", name, bytes), hashlib.sha256(name.encode()).hexdigest())
            writer.commit(writer.begin_source("s", keep=False), [replace(entry, features=features, thumbnail=b"x")])
        with gallery.database.connect() as database:
            database.set_trace_callback(asked.append)
            item_columns.item_table(database, known)
        (shown,) = [text for text in asked if "FROM shown" in text]
        return int(shown.split("id > ")[1].split()[0])

    assert [first_read(name) for name in "abcd"] == [0, 1, 2, 3]
