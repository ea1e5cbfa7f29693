"""Files of rows that grow at their end, and the embeddings of a gallery that lie in them."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from unifex.core import row_file
from unifex.core.derived import Origin
from unifex.core.row_file import RowFile, Rows
from unifex.gallery.kept_embeddings import KeptEmbeddings
from unifex.gallery.snapshot import ITEM

ORIGIN = Origin("embeddings", "a", "b")


def rows_of(count: int, seed: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def a_file(folder: Path, width: int = 3) -> RowFile:
    return RowFile(folder / "x.rows", ORIGIN, np.dtype(np.float32), (width,))


@pytest.fixture(autouse=True)
def blocks_of_fifty_bytes(monkeypatch):
    """So that few rows have many blocks, whose ends lie within rows."""
    monkeypatch.setattr(row_file, "BLOCK_BYTES", 50)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 99))
def test_what_was_added_in_parts_reads_as_a_whole_and_as_one_that_was_written_whole(tmp_path_factory, counts, seed):
    file = a_file(tmp_path_factory.mktemp("rows"))
    parts = [rows_of(count, seed + at) for at, count in enumerate(counts)]
    there = file.write(parts[0])
    seen = [(file.load(there, mapped=True), parts[0])]
    for at, part in enumerate(parts[1:], 1):
        there = file.append(there, part)
        seen.append((file.load(there, mapped=True), np.concatenate(parts[: at + 1])))
    for mapped, expected in seen:  # who mapped it before others added reads what it was
        np.testing.assert_array_equal(mapped, expected)
    for mapped in (False, True):
        np.testing.assert_array_equal(file.read(there, mapped), np.concatenate(parts))
    assert there == file.write(np.concatenate(parts))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 99), st.data())
def test_a_changed_byte_is_found_and_never_made_to_count(tmp_path_factory, count, seed, data):
    file = a_file(tmp_path_factory.mktemp("rows"))
    there = file.write(rows_of(count, seed))
    changed = bytearray(file.path.read_bytes())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    file.path.write_bytes(changed)
    assert file.read(there) is None
    assert file.read(there, mapped=True) is None
    in_the_last_block = at >= len(changed) // 50 * 50
    if in_the_last_block:  # which is hashed again together with what is added to it
        with pytest.raises(ValueError, match="damaged"):
            file.append(there, rows_of(2, 1))
    else:
        assert file.read(file.append(there, rows_of(2, 1))) is None


def test_what_lies_beyond_what_counts_is_written_over(tmp_path):
    file = a_file(tmp_path)
    there = file.write(rows_of(9, 0))
    file.append(there, rows_of(30, 1))  # by somebody who was killed before this counted
    np.testing.assert_array_equal(file.read(there), rows_of(9, 0))
    np.testing.assert_array_equal(file.read(file.append(there, rows_of(4, 2)))[9:], rows_of(4, 2))


def test_cut_off_of_another_origin_or_not_there(tmp_path):
    file = a_file(tmp_path)
    there = file.write(rows_of(9, 0))
    assert RowFile(file.path, Origin("embeddings", "other", "b"), file.dtype, file.shape).read(there) is None
    file.path.write_bytes(file.path.read_bytes()[:40])
    assert file.read(there) is None
    with pytest.raises(ValueError, match="cut off"):
        file.append(there, rows_of(1, 1))
    with pytest.raises(ValueError, match="cut off"):
        file.load(there, mapped=True)
    file.path.unlink()
    assert file.read(there) is None


def test_a_full_disk_leaves_what_counted(tmp_path, monkeypatch):
    file = a_file(tmp_path)
    there = file.write(rows_of(9, 0))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(row_file.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        file.append(there, rows_of(30, 1))
    assert file.path.stat().st_size == 9 * 12  # what is half written is not in the way of others
    np.testing.assert_array_equal(file.read(there), rows_of(9, 0))


def items_of(ids: list[int]) -> np.ndarray:
    return np.array([(id, f"{id:016d}") for id in ids], ITEM)


def embeddings_of(items: np.ndarray) -> np.ndarray:
    """An id's embedding, whoever computes it."""
    return np.stack([rows_of(1, int(id))[0] for id in items["id"]]) if len(items) else np.empty((0, 3), np.float32)


class TwoWhoKeepEmbeddings(RuleBasedStateMachine):
    """Programs that write whatever the gallery is now, look at it or add to it as they go; in any order, each has the
    embeddings of the items that it asks for, and what was mapped once stays. ``staying`` is one that is not started
    anew every time, and does not check again what it has checked."""

    def __init__(self):
        super().__init__()
        self.folder = Path(self.scratch.mktemp("kept"))
        self.ids, self.next, self.mapped = [1, 2, 3], 4, []
        self.staying = self.kept

    @property
    def kept(self) -> KeptEmbeddings:
        return KeptEmbeddings(self.folder, ORIGIN, 3)

    @rule(count=st.integers(1, 9))
    def more_items(self, count):
        self.ids += range(self.next, self.next + count)
        self.next += count

    @rule(at=st.integers(0, 40))
    def an_item_goes(self, at):
        if self.ids:
            self.ids.pop(at % len(self.ids))

    @rule()
    def written(self):
        items = items_of(self.ids)
        self.kept.write(items, embeddings_of(items))
        kept = self.kept.read()
        np.testing.assert_array_equal(kept.items, items)  # and none of those that went
        self.staying.write(items, embeddings_of(items))
        np.testing.assert_array_equal(kept.embeddings(False), embeddings_of(items))

    @rule(behind=st.integers(0, 3), stays=st.booleans())
    def grown(self, behind, stays):
        """By who has not seen the last items yet, too."""
        items = items_of(self.ids[: len(self.ids) - behind])
        kept = self.kept.read()
        before = None if kept is None or kept.embeddings(True) is None else kept.items
        is_beginning = before is not None and np.array_equal(before, items[: len(before)])
        asked = []
        who = self.staying if stays else self.kept
        found = who.grow(items, lambda start: asked.append(start) or embeddings_of(items[start:]))
        assert (found is not None) == is_beginning
        if found is not None:
            np.testing.assert_array_equal(found, embeddings_of(items))
            assert asked == ([len(before)] if len(before) < len(items) else [])
            self.mapped.append((found, items))

    @rule(name=st.sampled_from(["embeddings.json", "embeddings.rows", "ids.rows"]), at=st.integers(0, 10_000))
    def damaged(self, name, at):
        """Nobody is given what a disk has changed; in a copy, since files that are mapped are not to be damaged."""
        path = self.folder / name
        if path.exists() and path.stat().st_size:
            whole = path.read_bytes()
            path.unlink()
            data = bytearray(whole)
            data[at % len(data)] ^= 4
            path.write_bytes(data)
            self.staying = self.kept

    @invariant()
    def what_is_read_is_right(self):
        kept = self.kept.read()
        if kept is not None:
            np.testing.assert_array_equal(kept.items, items_of(kept.items["id"].tolist()))
            embeddings = kept.embeddings(True)
            if embeddings is not None:
                np.testing.assert_array_equal(embeddings, embeddings_of(kept.items))
        for mapped, of in self.mapped:
            np.testing.assert_array_equal(mapped, embeddings_of(of))


def test_embeddings_are_right_whoever_writes_adds_or_damages_them(tmp_path_factory):
    TwoWhoKeepEmbeddings.scratch = tmp_path_factory
    run_state_machine_as_test(TwoWhoKeepEmbeddings, settings=settings(max_examples=30, deadline=None))


def test_embeddings_of_other_items_are_not_taken_for_those_that_were_there(tmp_path):
    kept, items = KeptEmbeddings(tmp_path, ORIGIN, 3), items_of(list(range(1, 60)))
    kept.write(items, embeddings_of(items))
    seen = kept.read()
    assert seen is not None
    more = items_of(list(range(61, 70)))
    kept.grow(np.concatenate([items, more]), lambda _start: embeddings_of(more))
    np.testing.assert_array_equal(seen.embeddings(True), embeddings_of(items))  # others came: these are as they were
    fewer = np.concatenate([items[1:], more])
    KeptEmbeddings(tmp_path, ORIGIN, 3).write(fewer, embeddings_of(fewer))
    for mapped in (False, True):
        assert seen.embeddings(mapped) is None  # those at their place are of others


def test_many_who_add_at_a_time(tmp_path):
    items = items_of(list(range(1, 400)))
    KeptEmbeddings(tmp_path, ORIGIN, 3).write(items[:5], embeddings_of(items[:5]))
    found: dict[int, np.ndarray | None] = {}

    def add(count: int) -> None:
        kept = KeptEmbeddings(tmp_path, ORIGIN, 3)
        found[count] = kept.grow(items[:count], lambda start: embeddings_of(items[start:count]))

    threads = [threading.Thread(target=add, args=(count,)) for count in range(20, 400, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for count, embeddings in found.items():  # None: another had added more already
        assert embeddings is None or np.array_equal(embeddings, embeddings_of(items[:count]))
    kept = KeptEmbeddings(tmp_path, ORIGIN, 3).read()
    assert kept is not None
    assert np.array_equal(kept.items, items[:380])
    assert Rows.of({"count": 1, "digests": ["a"]}) == Rows(1, ("a",))
