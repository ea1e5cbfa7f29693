"""Near-copies: what is the same picture, how it is grouped, what people decide, and hits folded by it."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from PIL.PngImagePlugin import PngInfo

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.cli.options import SHARED
from unifex.core import looks
from unifex.core.errors import UnifexError
from unifex.core.looks import LOOK, look, same_picture
from unifex.core.progress import finish
from unifex.gallery import corrections, duplicates
from unifex.gallery.copy_groups import as_csv, copy_groups, described, leave_out, left, tell_apart
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui.rendering.duplicate_groups import duplicate_group, summary


def are_one(a: Image.Image, b: Image.Image) -> bool:
    looks = np.array([look(a.convert("RGB")), look(b.convert("RGB"))], LOOK)
    answers = compared(looks, np.array([[0, 1], [1, 0]]))
    assert answers[0] == answers[1]
    return answers[0]


def compared(looks: np.ndarray, pairs: np.ndarray, known=lambda row: False) -> dict[int, bool]:
    """What is told of pairs, by place."""
    told = {}
    tell = lambda rows, same: told.update(zip(rows.tolist(), same.tolist()))  # noqa: E731
    groups = lambda row: None if known(row) else tuple(pairs[row].tolist())  # noqa: E731
    finish(same_picture(looks, pairs, lambda places: None, groups, tell))
    return told


def cropped(image: Image.Image, left: float, top: float, share: float) -> Image.Image:
    box = (left, top, left + share, top + share)
    return image.crop([round(at * side) for at, side in zip(box, image.size * 2)])


def compressed(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=quality)))


CHANGES = {
    "half": lambda image: image.resize([side // 2 for side in image.size]),
    "quarter": lambda image: image.resize([side // 4 for side in image.size]),
    "compressed": lambda image: compressed(image, 20),
    "crop in the middle": lambda image: cropped(image, 0.1, 0.1, 0.8),
    "crop at a corner": lambda image: cropped(image, 0, 0.15, 0.85),
    "crop of little": lambda image: cropped(image, 0.02, 0.03, 0.95),
    "lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),  # with more, a sky is white all over
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.75),
    "framed": lambda image: ImageOps.expand(image, image.width // 16, (40, 40, 40)),
    "all at once": lambda image: compressed(cropped(image, 0.05, 0.05, 0.9).resize((200, 150)), 50),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_picture_stays_one(photographs, change):
    for image in photographs:
        assert are_one(image, CHANGES[change](image))


def test_others_are_not(photographs):
    for a in photographs:
        assert not are_one(a, ImageOps.mirror(a))
        assert not are_one(a, ImageOps.flip(a))
        assert not are_one(a, a.rotate(90))
        assert not are_one(a, Image.merge("RGB", a.split()[::-1]))
        assert not are_one(a, cropped(a, 0, 0, 0.4))
        assert not any(are_one(a, b) for b in photographs if a is not b)


def test_drawings_of_one_label_are_different_pictures():
    drawn = [picture("shapes/disc", view) for view in range(6)]
    assert not any(are_one(a, b) for a in drawn for b in drawn if a is not b)


def test_what_is_one_picture_anyway_is_not_compared(photographs):
    image = photographs[0]
    copies = [image, CHANGES["half"](image), CHANGES["compressed"](image), photographs[1]]
    looks = np.array([look(one.convert("RGB")) for one in copies], LOOK)
    pairs = np.array([[0, 1], [0, 2], [1, 2], [0, 3]])
    assert compared(looks, pairs, lambda row: row == 2) == {0: True, 1: True, 3: False}
    assert compared(looks, pairs[:3], lambda row: True) == {}


def test_where_nothing_is_to_see_nothing_is_the_same():
    assert not are_one(Image.new("RGB", (50, 50), "white"), Image.new("RGB", (80, 80), "white"))
    assert compared(np.zeros(0, LOOK), np.zeros((0, 2), np.int64)) == {}


@pytest.fixture
def copied(tmp_path, embedder, photographs) -> Gallery:
    """Four photographs, of the first its bytes again, variants and its mirror image, of the second a small one."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    first, second = photographs[0], photographs[1]
    files = {
        "a": first, "a-half": CHANGES["half"](first), "a-crop": CHANGES["crop in the middle"](first),
        "a-light": CHANGES["lighter"](first.resize((400, 266))), "a-mirrored": ImageOps.mirror(first),
        "b": second, "b-half": CHANGES["half"](second), "c": photographs[2], "d": photographs[3],
    }  # fmt: skip
    for name, image in files.items():
        image.convert("RGB").save(folder / f"{name}.png")
    (folder / "again.png").write_bytes((folder / "a.png").read_bytes())
    gallery = Gallery.create(tmp_path / "indexes" / "copied", embedder)
    run_index(gallery, folder)
    return gallery


def names(groups) -> set[frozenset[str]]:
    return {frozenset([g.kept.path, *(c.record.path for c in g.others)]) for g in groups}


def found(gallery: Gallery, level: str) -> set[frozenset[str]]:
    groups = names(finish(copy_groups(gallery, level)))
    return {frozenset(path.removesuffix(".png") for path in group) for group in groups}


OF_A = frozenset({"a", "again", "a-half", "a-crop", "a-light"})
OF_B = frozenset({"b", "b-half"})


def test_levels_hold_what_they_say(copied):
    assert found(copied, "bytes") == {frozenset({"a", "again"})}
    assert found(copied, "picture") == {OF_A, OF_B}
    assert OF_A | {"a-mirrored"} in found(copied, "alike")
    group = finish(copy_groups(copied, "picture"))[0]
    assert group.kept.path == "a.png"
    assert [copy.level for copy in group.others] == ["bytes", "picture", "picture", "picture"]
    assert group.others[0].similarity == pytest.approx(1, abs=1e-5)
    with pytest.raises(GalleryError, match="no level 'some'"):
        finish(copy_groups(copied, "some"))


def test_what_was_compared_is_kept(copied, monkeypatch):
    before = found(copied, "picture")
    assert (copied.folder / "duplicates.npz").is_file()
    monkeypatch.setattr(duplicates, "look", None)  # nothing is looked at again
    opened = Gallery.open(copied.folder, copied.embedder)
    assert found(opened, "picture") == before
    monkeypatch.undo()
    with opened.write() as writer:
        writer.correct([corrections.drop(opened.item_at("a-half.png"))])
    assert found(opened, "picture") == {OF_A - {"a-half"}, OF_B}  # also where it was what joined the others


def rated(path: Path, rating: int) -> None:
    """A rating is written into a picture, whose pixels stay as they are."""
    image = Image.open(path)
    note = PngInfo()
    note.add_itxt("XML:com.adobe.xmp", f'<x:xmpmeta xmlns:x="adobe:ns:meta/" rating="{rating}"/>')
    image.save(path, pnginfo=note)


@pytest.mark.parametrize("rate", [("a", "b", "c"), ("again",), ("a-crop", "b-half", "again"), ("d",)])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_written_into_pictures_leaves_the_groups_as_they_are(copied, tmp_path, rate, known):
    before = {level: found(copied, level) for level in duplicates.LEVELS} if known else {}
    for number, name in enumerate(rate):
        rated(tmp_path / "pictures" / f"{name}.png", number + 1)
    run_index(copied, tmp_path / "pictures")
    assert len(copied.snapshot().columns.still) == len(rate)
    for gallery in (copied, Gallery.open(copied.folder, copied.embedder)):
        assert found(gallery, "picture") == {OF_A, OF_B}
        assert found(gallery, "bytes") == (set() if {"a", "again"} & set(rate) else {frozenset({"a", "again"})})
        assert not known or found(gallery, "alike") == before["alike"]


def test_files_that_become_one_by_an_edit_are_one_picture(copied, tmp_path):
    found(copied, "picture")
    rated(tmp_path / "pictures" / "again.png", 1)
    run_index(copied, tmp_path / "pictures")
    assert found(copied, "bytes") == set()
    (tmp_path / "pictures" / "d.png").write_bytes((tmp_path / "pictures" / "a-half.png").read_bytes())
    (tmp_path / "pictures" / "a.png").write_bytes((tmp_path / "pictures" / "again.png").read_bytes())
    run_index(copied, tmp_path / "pictures")
    assert found(copied, "bytes") == {frozenset({"a", "again"}), frozenset({"a-half", "d"})}
    assert found(copied, "picture") == {OF_A | {"d"}, OF_B}


def test_what_was_compared_before_it_was_cancelled_is_not_again(copied, monkeypatch):
    whole = finish(copied.find_duplicates()).groups
    pairs = len(np.load(copied.folder / "duplicates.npz")["pairs"])
    (copied.folder / "duplicates.npz").unlink()
    monkeypatch.setattr(looks, "BLOCK", 2)  # pictures at once
    kept = [0]
    while True:
        opened = Gallery.open(copied.folder, copied.embedder)
        work = opened.find_duplicates()
        try:
            for _ in range(4):  # the first is before any picture is read
                next(work)
        except StopIteration as end:
            found = end.value
            break
        work.close()
        kept.append(len(np.load(copied.folder / "duplicates.npz")["pairs"]))
        assert kept[-2] < kept[-1] <= pairs
    assert 0 < kept[1] < pairs
    assert all((found.groups[level] == whole[level]).all() for level in whole)


def test_lost_thumbnails_are_no_copies_and_no_error(copied, monkeypatch):
    monkeypatch.setattr("unifex.gallery.derived_data.pictures.thumbnail", lambda database, sha256: b"")
    assert found(copied, "picture") == {frozenset({"a", "again"})}
    monkeypatch.undo()
    assert found(Gallery.open(copied.folder, copied.embedder), "picture") == {OF_A, OF_B}


def test_distinct_is_remembered_and_undone(copied):
    a, half = copied.item_at("b.png"), copied.item_at("b-half.png")
    said = corrections.distinct(a, half)
    with copied.write() as writer:
        writer.correct([said])
    assert found(copied, "picture") == {OF_A}
    assert not any(OF_B <= group for group in found(copied, "alike"))
    assert found(Gallery.open(copied.folder, copied.embedder), "picture") == {OF_A}
    with copied.write() as writer:
        writer.undo([said])
    assert found(copied, "picture") == {OF_A, OF_B}
    with pytest.raises(UnifexError, match="'distinct' takes two"):
        corrections.distinct(a, a)
    with pytest.raises(UnifexError, match="same bytes"):
        corrections.distinct(copied.item_at("a.png"), copied.item_at("again.png"))


def test_keeping_one_leaves_out_the_rest_until_undone(copied):
    said = leave_out(copied, finish(copy_groups(copied, "picture")))
    assert {c.path for c in said} == {"again.png", "a-half.png", "a-crop.png", "a-light.png", "b-half.png"}
    assert len(copied) == 5
    assert found(copied, "picture") == set()
    with copied.write() as writer:
        writer.undo(said)
    assert found(copied, "picture") == {OF_A, OF_B}
    assert leave_out(copied, []) == []


def test_hits_are_folded_and_there_are_as_many_as_asked_for(copied):
    c = copied.item_at("c.png").id
    plain = search(copied, Query(items=(c,)), 9).hits
    assert all(hit.copies is None and "copies" not in hit.as_json() for hit in plain)
    for k in (1, 2, 3, 4, 9):
        folded = search(copied, Query(items=(c,)), k, fold="picture").hits
        assert [hit.rank for hit in folded] == list(range(1, len(folded) + 1))
        assert len(folded) == min(k, 4)  # a, its mirror image, b and d
        seen, expected = set(), []
        for hit in plain:
            group = next((g for g in (OF_A, OF_B) if hit.path.removesuffix(".png") in g), hit.path)
            if group not in seen:
                expected.append((hit.path, hit.score, len(group) - 1 if isinstance(group, frozenset) else 0))
            seen.add(group)
        assert [(hit.path, hit.score, hit.as_json()["copies"]) for hit in folded] == expected[:k]


def test_folding_keeps_to_the_filters_and_to_reranking(copied):
    a, crop = copied.item_at("a.png").id, copied.item_at("a-crop.png").id
    hits = search(copied, Query(items=(a,)), 9, Filters(exclude=frozenset([crop])), fold="picture", rerank=True).hits
    assert not {a, crop, hits[0].record.id} & set(hits[0].copies)
    assert len(hits[0].copies) == 2
    with pytest.raises(UnifexError, match="no level 'none'"):
        search(copied, Query(items=(a,)), fold="none")


def test_an_empty_gallery_has_none(tmp_path, embedder):
    gallery = Gallery.create(tmp_path / "indexes" / "empty", embedder)
    assert all(found(gallery, level) == set() for level in duplicates.LEVELS)


def test_command_line(copied, tmp_path, capsys):
    def run(*arguments: str) -> dict:
        assert main([*arguments, "--library", str(copied.folder.parent), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    written = tmp_path / "groups.csv"
    answer = run("duplicates", "--gallery", "copied", "--csv", str(written))
    assert [group["keep"]["path"] for group in answer["groups"]] == ["a.png", "b.png"]
    assert [copy["level"] for copy in answer["groups"][1]["copies"]] == ["picture"]
    assert answer["left_out"] == []
    rows = list(csv.DictReader(io.StringIO(written.read_text())))
    assert [row["group"] for row in rows] == [*"1111122"]
    assert [row["path"] for row in rows if row["keep"] == "yes"] == ["a.png", "b.png"]
    assert written.read_text() == as_csv(finish(copy_groups(copied, "picture"))).replace("\r\n", "\n")
    image = str(tmp_path / "pictures" / "a.png")
    hits = run("search", image, "--gallery", "copied", "--fold", "-k", "2")["results"][0]["hits"]
    assert [hit["copies"] for hit in hits] == [4, 0]
    run("correct", "copied", "--distinct", "b.png", "b-half.png")
    assert len(run("duplicates", "--gallery", "copied")["groups"]) == 1
    run("correct", "copied", "--undo", "b.png")
    kept = run("duplicates", "--gallery", "copied", "--level", "bytes", "--keep-one")
    assert kept["left_out"] == ["again.png"]
    assert main(["duplicates", "--gallery", "copied", "--library", str(copied.folder.parent)]) == 0
    assert "2 groups with 4 copies" in capsys.readouterr().out
    assert SHARED["--level"]["choices"] == list(duplicates.LEVELS)


def test_what_is_left_of_groups_after_each_decision(copied):
    duplicates_found, level = finish(copied.find_duplicates()), "picture"

    def look(preferred=()):
        snapshot = copied.snapshot()
        listed = left(copied, snapshot, duplicates_found, level)
        return described(copied, snapshot, duplicates_found, listed, preferred)

    first, second = look()
    assert (first.kept.path, second.kept.path) == ("a.png", "b.png")
    (small,) = (copy.record for copy in second.others)
    assert look({small.id})[1].kept.path == "b-half.png"
    said = tell_apart(copied, second)
    assert names(look()) == names([first])
    with copied.write() as writer:
        writer.undo(said)
    said = leave_out(copied, [first])
    assert names(look()) == names([second])
    with copied.write() as writer:
        writer.undo(said)
    assert names(look()) == names([first, second])
    apart = tell_apart(copied, first)  # but for the same bytes, which are copies whatever is said
    assert names(look()) == {frozenset(["a.png", "again.png"]), *names([second])}
    assert all(correction.kind == "distinct" for correction in apart)
    with pytest.raises(GalleryError, match="same bytes"):
        tell_apart(copied, look()[-1] if look()[-1].kept.path == "a.png" else look()[0])


def test_a_group_says_what_is_kept_and_what_goes(copied):
    groups = finish(copy_groups(copied, "picture"))
    drawn = duplicate_group(groups[0])
    assert [item.mark for item in drawn.items][:2] == ["kept", "same bytes"]
    assert "×" in drawn.items[0].line
    assert [act.kind for act in drawn.acts] == ["keep", "distinct"]
    assert [act.kind for act in duplicate_group(finish(copy_groups(copied, "bytes"))[0]).acts] == ["keep"]
    told = summary(2, 4, "picture", groups, 1)
    assert "2 groups with 4 copies" in told
    assert "1 image came since" in told
    assert "duplicates.csv" in told
    assert "--csv" in summary(9, 9000, "alike", None, 0)
    assert "No duplicates" in summary(0, 0, "bytes", [], 0)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 12), st.randoms(use_true_random=False))
def test_groups_are_joined_but_for_those_kept_apart(count, rng: random.Random):
    """Beside a search that joins sets one by one."""
    pick = lambda: sorted(rng.sample(range(count), 2))  # noqa: E731
    pairs, apart = [pick() for _ in range(rng.randrange(2 * count))], [pick() for _ in range(rng.randrange(3))]
    joined = duplicates._Groups(np.arange(count), map(tuple, apart))
    sets = [{at} for at in range(count)]
    for a, b in pairs:
        joined.join(a, b)
        of_a, of_b = (next(of for of in sets if at in of) for at in (a, b))
        if of_a is not of_b and not any({x, y} <= of_a | of_b for x, y in apart):
            sets.remove(of_b)
            of_a |= of_b
    assert joined.settled().tolist() == [min(next(of for of in sets if at in of)) for at in range(count)]
