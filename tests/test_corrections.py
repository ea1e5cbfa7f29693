import contextlib
import csv
import hashlib
import io
import json
import shutil

import pytest
from PIL import Image

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.core.errors import UnifexError
from unifex.evaluation.splits import split_of
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.retrieval.query import Query
from unifex.retrieval.search import search


def say(gallery, *said):
    with gallery.write() as writer:
        writer.correct(said)


def test_relabel_drop_and_undo(gallery, folder):
    item, other = gallery.item_at("shapes/disc/0.png"), gallery.item_at("signs/cross/1.png")
    say(gallery, corrections.relabel(item, "ball", "toys"), corrections.drop(other))
    assert (gallery.item_at("shapes/disc/0.png").label, gallery.item_at("shapes/disc/0.png").domain) == ("ball", "toys")
    assert len(gallery) == gallery.facts().items == len(gallery.snapshot()) == 23
    assert gallery.facts().corrections == 2
    hits = search(gallery, Query(items=(item.id,)), 24).hits
    assert "signs/cross/1.png" not in [hit.path for hit in hits]
    report = run_index(gallery, folder)  # the source does not bring back what was corrected
    assert (report.added, report.skipped, len(gallery)) == (0, 24, 23)
    assert gallery.item_at("shapes/disc/0.png").label == "ball"
    with gallery.write() as writer:
        writer.undo(gallery.corrections())
    assert len(gallery) == 24
    assert gallery.item_at("shapes/disc/0.png").label == "disc"
    assert gallery.corrections() == []


def test_what_is_said_last_counts(gallery):
    item = gallery.item_at("shapes/disc/0.png")
    say(gallery, corrections.relabel(item, "ball"))
    say(gallery, corrections.relabel(item, "moon"))
    assert [c.label for c in gallery.corrections()] == ["moon"]
    assert gallery.item_at("shapes/disc/0.png").domain == "shapes"


def test_a_correction_ends_when_the_image_changes(gallery, folder):
    say(gallery, corrections.drop(gallery.item_at("shapes/disc/0.png")))
    (folder / "shapes/disc/0.png").write_bytes((folder / "signs/cross/0.png").read_bytes())
    run_index(gallery, folder)
    assert len(gallery) == 24


def test_what_is_said_stays_where_a_file_changes_but_its_picture_does_not(gallery, folder):
    """As a program does that writes a comment, a rating or a keyword into it."""

    def write(path, comment):
        (folder / path).write_bytes(encoded(picture("shapes/disc", int(path[-5])), "JPEG", comment=comment))

    paths = ["shapes/disc/7.jpg", "shapes/disc/8.jpg", "shapes/disc/9.jpg"]
    for path in paths:
        write(path, b"")
    run_index(gallery, folder)
    (folder / "list.csv").write_text(f"path,label,tags\n{paths[0]},plate,listed\n")
    run_index(gallery, folder / "list.csv")
    first, second, third = map(gallery.item_at, paths)
    say(gallery, corrections.relabel(first, "ball"), corrections.drop(second), corrections.same(third, first))
    with gallery.write() as writer:
        writer.tag([first.id], ["best"])
        writer.untag([first.id], ["listed"])
    for comment in (b"sea", b"the sea"):
        for path in paths:
            write(path, comment)
        report = run_index(gallery, folder)
        assert (report.added, report.remarks, len(gallery)) == (3, [], 26)
        assert (gallery.item_at(paths[0]).label, gallery.item_at(paths[0]).tags) == ("ball", ("best",))
        assert gallery.item_at(paths[0]).sha256 == hashlib.sha256((folder / paths[0]).read_bytes()).hexdigest()
        assert gallery.database.marked_pairs("same") == [(gallery.item_at(paths[2]).id, gallery.item_at(paths[0]).id)]
        assert not gallery.idle_corrections()
        assert run_index(gallery, folder / "list.csv").relabelled == 0
    with gallery.write() as writer:
        writer.undo(gallery.corrections())
    assert gallery.item_at(paths[0]).label == "plate"
    assert len(gallery) == 27


def test_a_file_that_comes_back_from_its_copy_has_what_was_said_of_it(gallery, folder):
    """As exiftool leaves the file as it was beside the one that it has written to."""
    place, copy = folder / "shapes/disc/7.jpg", folder / "shapes/disc/7_original.jpg"
    place.write_bytes(encoded(picture("shapes/disc", 7), "JPEG"))
    run_index(gallery, folder)
    item = gallery.item_at("shapes/disc/7.jpg")
    say(gallery, corrections.relabel(item, "ball"), corrections.same(item, gallery.item_at("shapes/disc/1.png")))
    with gallery.write() as writer:
        writer.tag([item.id], ["mine"])
    copy.write_bytes(place.read_bytes())
    place.write_bytes(encoded(picture("shapes/disc", 7), "JPEG", comment=b"sea"))
    run_index(gallery, folder)
    copy.replace(place)
    assert run_index(gallery, folder, prune=True).remarks == []
    item = gallery.item_at("shapes/disc/7.jpg")
    assert (item.label, item.tags) == ("ball", ("mine",))
    assert not gallery.idle_corrections()


def test_what_is_damaged_keeps_nothing_else_from_being_added(gallery, folder):
    place = folder / "shapes/disc/7.jpg"
    place.write_bytes(encoded(picture("shapes/disc", 7), "JPEG"))
    run_index(gallery, folder)
    shard = max(gallery.folder.glob("features/*.npy"))
    shard.write_bytes(shard.read_bytes()[:-9] + bytes(9))
    place.write_bytes(encoded(picture("shapes/disc", 7), "JPEG", comment=b"sea"))
    (folder / "shapes/disc/8.jpg").write_bytes(encoded(picture("shapes/disc", 8), "JPEG"))
    with contextlib.suppress(GalleryError):  # what is damaged is told when it is read
        run_index(gallery, folder)
    assert Gallery.open(gallery.folder).find(["shapes/disc/8.jpg"])["shapes/disc/8.jpg"]


def test_tags_that_a_file_has_of_its_own_do_not_end_with_its_picture(gallery, folder):
    place = folder / "shapes/disc/7.jpg"
    exif = Image.Exif()
    exif[0x9C9E] = "sun;sea".encode("utf-16-le")  # XPKeywords, as Windows writes them
    for view in (7, 8):
        place.write_bytes(encoded(picture("shapes/disc", view), "JPEG", exif=exif))
        assert run_index(gallery, folder).remarks == []
    assert gallery.item_at("shapes/disc/7.jpg").tags == ("sea", "sun")


def test_what_ends_with_a_picture_is_told(gallery, folder, capsys):
    first, second, third = (gallery.item_at(f"shapes/disc/{view}.png") for view in range(3))
    say(gallery, corrections.relabel(first, "ball"), corrections.same(second, third), corrections.drop(third))
    with gallery.write() as writer:
        writer.tag([first.id, second.id, third.id], ["best", "seen"])
    once_more = encoded(picture("shapes/disc", 0), "JPEG", quality=95)  # other pixels, if not for the eye
    (folder / "shapes/disc/0.png").write_bytes(once_more)
    (folder / "shapes/disc/1.png").write_bytes((folder / "signs/cross/0.png").read_bytes())
    (remark,) = run_index(gallery, folder).remarks
    assert (remark.path, remark.count) == ("shapes/disc/0.png", 2)
    assert remark.text.endswith("as another picture is there, or none: 2 corrections and 4 tags")
    assert run_index(gallery, folder).remarks == []
    assert gallery.database.marked_pairs("same") == []
    arguments = ["correct", "drawn", "--library", str(gallery.folder.parent)]
    assert main(arguments) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in told if "does not apply" in line] == ["relabel", "same"]
    assert main([*arguments, "--json"]) == 0
    applies = [said["applies"] for said in json.loads(capsys.readouterr().out)["corrections"]]
    assert applies == [True, False, False]


def test_what_was_said_of_one_of_two_items_of_a_path_is_taken_back_by_its_uri(gallery, folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "other")
    run_index(gallery, tmp_path / "other")
    path, arguments = "shapes/disc/0.png", ["--library", str(gallery.folder.parent)]
    uris = [(place / path).as_posix() for place in (folder, tmp_path / "other")]
    for uri in uris:
        say(gallery, corrections.relabel(gallery.item_at(uri), "ball"))
    assert main(["correct", "drawn", "--undo", path, *arguments]) == 1
    assert f"give the uri of one: {uris[1]}, {uris[0]}" in capsys.readouterr().err
    assert main(["correct", "drawn", "--undo", uris[0], *arguments]) == 0
    assert [said.uri for said in gallery.corrections()] == [uris[1]]


def test_same_pairs_reach_the_evaluation(gallery):
    a, b = gallery.item_at("shapes/disc/0.png"), gallery.item_at("signs/cross/1.png")
    say(gallery, corrections.same(a, b))
    chosen = split_of(gallery)
    ids = chosen.columns.ids
    assert {tuple(int(ids[p]) for p in pair) for pair in chosen.same} == {(a.id, b.id), (b.id, a.id)}
    say(gallery, corrections.drop(b))
    assert len(split_of(gallery).same) == 0


def test_export(gallery):
    item = gallery.item_at("shapes/disc/0.png")
    say(gallery, corrections.relabel(item, 'a "round", thing'))
    (row,) = csv.DictReader(io.StringIO(corrections.as_csv(gallery.corrections())))
    assert Correction(**row) == gallery.corrections()[0]
    assert (row["path"], row["label"], row["domain"]) == (item.path, 'a "round", thing', "shapes")


def test_nonsense_is_refused(gallery):
    item = gallery.item_at("shapes/disc/0.png")
    with pytest.raises(ValueError, match="no correction 'praise'"):
        Correction("praise", "u", "p", "s")
    with pytest.raises(UnifexError, match="takes two"):
        corrections.same(item, item)
    with pytest.raises(UnifexError, match="give the label"):
        corrections.relabel(item, "  ")
    with pytest.raises(GalleryError, match="no item 'nothing'"):
        gallery.item_at("nothing")


def test_a_gallery_from_before_there_were_corrections(gallery, embedder):
    with gallery.database.connect() as database:
        database.executescript("DROP VIEW shown; DROP TABLE corrections;")
    reopened = Gallery.open(gallery.folder, embedder)
    assert len(reopened) == 24
    assert reopened.corrections() == []
