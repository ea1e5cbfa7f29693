"""Items that people name: by a path that two have, and by one that was left out."""

from __future__ import annotations

import shutil

import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.gallery.gallery import Gallery

SHARED, OUT = "cat/0.png", "shapes/disc/0.png"


@pytest.fixture
def called(gallery, tmp_path, monkeypatch, capsys):
    """Runs a command on a gallery that has two items of one path, and one that is left out: what is told."""
    monkeypatch.setenv("UNIFEX_LIBRARY", str(gallery.folder.parent))
    for view, part in enumerate("ab"):
        place = tmp_path / part / SHARED
        place.parent.mkdir(parents=True)
        place.write_bytes(encoded(picture("signs/cross", view + 7)))
        run_index(gallery, tmp_path / part)

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    assert run("correct", "drawn", "--drop", OUT)[0] == 0
    return run


@pytest.mark.parametrize("command", [("remove", "drawn"), ("tag", "drawn", "best")])
def test_a_path_of_two_items_changes_neither(called, gallery, tmp_path, command):
    count = len(gallery)
    code, told = called(*command, "signs/cross/0.png", SHARED)
    assert (code, "has 2 items 'cat/0.png'; name one by its uri" in told) == (1, True)
    assert (len(gallery), gallery.tags()) == (count, {})
    for done, record in enumerate(gallery.records(gallery.find([SHARED])[SHARED]), 1):
        assert called(*command, record.uri)[0] == 0
        assert (count - len(gallery), gallery.tags().get("best")) in ((done, None), (0, done))


def test_what_was_left_out_is_told_to_be_so(called, gallery, tmp_path):
    (id,) = gallery.find([OUT], dropped=True)[OUT]
    for command in (
        ("tag", "drawn", "best", OUT),
        ("export-gallery", "drawn", "--to", "csv", "--out", tmp_path / "x.csv", "--item", OUT),
        ("search", "--gallery", "drawn", "--more", str(id)),
    ):
        code, told = called(*command)
        assert (code, "leaves out" in told, "correct drawn --undo" in told) == (1, True, True), told
        assert f"--undo {OUT}" in told
    with pytest.raises(Exception, match=f"leaves out '{OUT}', as a correction says") as refused:
        gallery.record(id)
    assert "--undo" not in str(refused.value)
    with pytest.raises(Exception, match="has no item 'none'"):
        gallery.item_at("none")


def test_what_is_left_out_is_not_counted_among_images_and_a_label_of_two_domains_is_one(
    called, gallery, folder, tmp_path
):
    """Told alike from the database and from the table of items, and by another process."""
    run = lambda gallery: (gallery.facts().items, gallery.facts().images, gallery.facts().labels)  # noqa: E731
    labels = len({record.label for record in gallery.records(gallery.snapshot().columns.ids)})
    assert run(gallery) == run(Gallery.open(gallery.folder)) == (25, 25, labels)
    assert called("correct", "drawn", "--relabel", "shapes/disc/1.png", "cross")[0] == 0
    assert run(gallery) == run(Gallery.open(gallery.folder)) == (25, 25, labels)
    shutil.copy(folder / OUT, folder / "copy.png")
    run_index(gallery, folder)
    assert run(gallery) == run(Gallery.open(gallery.folder)) == (26, 26, labels)


@pytest.mark.parametrize("how", ["remove", "forget"])
def test_removing_tells_apart_what_was_left_out_before(called, gallery, folder, how):
    command = (
        ("remove", "drawn", OUT, "shapes/disc/1.png") if how == "remove" else ("forget", folder, "--gallery", "drawn")
    )
    code, told = called(*command)
    removed = 2 if how == "remove" else 24
    assert (code, f"{removed} items removed, 1 of them left out before, {26 - removed} left" in told) == (0, True), told


def test_a_page_to_mail_names_no_folder_of_ours(called, folder, tmp_path):
    query = folder / "signs/cross/1.png"
    assert called("search", query, "--gallery", "drawn", "--text-weight", "0", "--out", tmp_path / "hits.html")[0] == 0
    page = (tmp_path / "hits.html").read_text()
    assert ">1.png" in page
    assert str(folder) not in page
