"""Videos as sources: which frames become items, what stays when they change, what is said of those that are none."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="videos need PyAV: pip install 'unifex[video]'")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.support.drawing import encoded
from tests.support.filming import SIZE, film, scene, sound
from tests.support.galleries import packed, run_index, unpacked
from unifex.cli.main import main
from unifex.core import images
from unifex.core.progress import finish
from unifex.data import frame_names, video, video_frames
from unifex.data.frame_names import Choice, clock, video_of, written
from unifex.data.item import Item, Options, SourceError
from unifex.data.sources import open_source, require_items
from unifex.exports.export import export
from unifex.exports.formats import FORMATS
from unifex.exports.selection import Selection
from unifex.gallery.embedding import forecast
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import Pace, index
from unifex.gallery.library import Library
from unifex.gallery.relocating import relocate
from unifex.ui.item_routes import item_routes
from unifex.ui.rendering import item as item_page
from unifex.ui.server.picture_addresses import VIDEO, address

FOUR = [(0, 0), (1, 1), (2, 2), (3, 3)]


def times(path: Path, frames: str = "every 1") -> list[str]:
    return [written(frame.seconds) for frame in video_frames.read(path, Choice.parse(frames))]


def paths(gallery: Gallery) -> list[str]:
    return sorted(record.path for record in gallery.records(gallery.snapshot().columns.ids))


def likeness(data: bytes, number: int) -> float:
    """Mean difference of the picture of a frame to that of a scene, 0 to 255."""
    shown = np.asarray(Image.open(io.BytesIO(data)).resize(SIZE), np.float32)
    return float(np.abs(shown - np.asarray(scene(number), np.float32)).mean())


@pytest.fixture
def clips(tmp_path) -> Path:
    """A folder with one video of four pictures, a second each."""
    film(tmp_path / "pictures/clips/dog.mp4", FOUR, 4)
    return tmp_path / "pictures"


@pytest.fixture
def filmed(tmp_path, clips, embedder) -> Gallery:
    gallery = Gallery.create(tmp_path / "indexes" / "filmed", embedder)
    report = run_index(gallery, clips)
    assert (report.added, report.failed) == (4, [])
    return gallery


def test_a_frame_a_second_is_an_item_that_knows_its_time(clips, filmed):
    records = sorted(filmed.records(filmed.snapshot().columns.ids), key=lambda record: record.path)
    assert [record.path for record in records] == [f"clips/dog.mp4#t={second}.0" for second in range(4)]
    for second, record in enumerate(records):
        assert record.uri == f"{clips.as_posix()}/clips/dog.mp4#t={second}.0"
        assert dict(record.labels.extra) == {"seconds": f"{second}.0", "video": "clips/dog.mp4"}
        assert (record.label, record.width, record.height) == ("clips", *SIZE)
        assert likeness(filmed.original(record), second) < 8 < likeness(filmed.original(record), second + 1)
        assert filmed.thumbnail(record.sha256)


@pytest.mark.parametrize(("keyframes", "wanted"), [(10, "1"), (40, "1"), (7, "1"), (10, "0.5"), (5, "2")])
def test_moments_are_found_wherever_keyframes_are(tmp_path, keyframes, wanted):
    changes = [(at / 2, at) for at in range(16)]
    path = film(tmp_path / "a.mkv", changes, 8, keyframes=keyframes)
    step = float(wanted)
    found = [float(time) for time in times(path, f"every {wanted}")]
    assert len(found) == 8 / step
    assert all(abs(time - at * step) <= step / 2 for at, time in enumerate(found))


def test_only_what_is_needed_is_decoded(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", [(at, at) for at in range(20)], 20)
    fed = []
    decoded = video_frames._Reader._decoded
    monkeypatch.setattr(
        video_frames._Reader, "_decoded", lambda self, packet: (fed.append(packet), decoded(self, packet))[1]
    )
    assert len(times(path)) == 20
    assert len([packet for packet in fed if packet]) == 20  # of 200: the keyframes
    fed.clear()
    sought = []
    seek = video_frames._Reader._seek
    monkeypatch.setattr(video_frames._Reader, "_seek", lambda self: (sought.append(1), seek(self))[1])
    assert times(path, "every 9") == ["0.0", "9.0", "18.0"]
    assert len([packet for packet in fed if packet]) == 3
    assert sought


def test_what_hardly_changes_is_one_item(tmp_path):
    assert times(film(tmp_path / "talk.mp4", [(0, 0)], 12)) == ["0.0"]
    assert times(film(tmp_path / "talk.mp4", [(0, 0), (5, 1), (7, 0)], 12)) == ["0.0", "5.0", "7.0"]


def test_scenes_are_kept_where_they_begin(tmp_path):
    path = film(tmp_path / "a.mp4", [(0, 0), (2.5, 1), (7.2, 2)], 10, keyframes=100)
    found = [float(time) for time in times(path, "scenes")]
    assert [round(time) for time in found] == [0, 2, 7] or np.allclose(found, [0, 2.5, 7.25], atol=0.26)
    assert len(found) == 3


def test_a_variable_frame_rate_is_one_of_times(tmp_path):
    moments = [0, 0.1, 0.2, 0.9, 1.3, 4.0, 4.1, 5.5, 6.0]
    changes = [(time, number) for number, time in enumerate(moments)]
    path = film(tmp_path / "a.mkv", changes, 0, times=moments, keyframes=100)
    assert times(path) == ["0.0", "1.3", "4.0", "5.5", "6.0"]


@pytest.mark.parametrize(
    ("rotation", "transposed"), [(90, Image.Transpose.ROTATE_90), (180, Image.Transpose.ROTATE_180)]
)
def test_a_frame_is_upright(tmp_path, rotation, transposed):
    path = film(tmp_path / "a.mp4", [(0, 2)], 1, rotation=rotation)
    (frame,) = video_frames.read(path, Choice.parse("every 1"))
    image, wanted = Image.open(io.BytesIO(frame.data)), scene(2).transpose(transposed)
    assert image.size == wanted.size
    assert np.abs(np.asarray(image, np.float32) - np.asarray(wanted, np.float32)).mean() < 8


def test_pixels_are_square(tmp_path):
    (frame,) = video_frames.read(film(tmp_path / "a.mp4", [(0, 2)], 1, aspect=2), Choice.parse("every 1"))
    assert Image.open(io.BytesIO(frame.data)).size == (320, 120)


def test_an_unchanged_video_is_not_decoded_again(clips, filmed, monkeypatch):
    monkeypatch.setattr(video_frames, "read", lambda *_: pytest.fail("decoded again"))
    report = run_index(filmed, clips, prune=True)
    assert (report.skipped, report.added, report.removed, report.failed) == (4, 0, 0, [])


def test_a_changed_video_replaces_its_frames(clips, filmed):
    film(clips / "clips/dog.mp4", [(0, 0), (1, 9)], 2)
    report = run_index(filmed, clips)
    assert (report.items, report.added, report.removed) == (2, 1, 2)  # one became another
    assert paths(filmed) == ["clips/dog.mp4#t=0.0", "clips/dog.mp4#t=1.0"]
    (record,) = [record for record in filmed.records(filmed.snapshot().columns.ids) if record.path.endswith("1.0")]
    assert likeness(filmed.original(record), 9) < 8


def test_another_choice_replaces_frames_and_a_touch_none(clips, filmed):
    os.utime(clips / "clips/dog.mp4", (1, 1))
    report = run_index(filmed, clips)
    assert (report.added, report.removed, report.skipped) == (0, 0, 4)
    report = run_index(filmed, open_source(str(clips), options=Options(frames="every 2")))
    assert (report.items, report.added, report.removed) == (2, 0, 2)


def test_videos_move_and_go_as_pictures_do(clips, filmed):
    ids = set(filmed.snapshot().columns.ids)
    (clips / "clips/dog.mp4").rename(clips / "clips/cat.mp4")
    report = run_index(filmed, clips)
    assert (report.moved, report.added) == (4, 0)
    assert set(filmed.snapshot().columns.ids) == ids
    (clips / "clips/cat.mp4").unlink()
    (clips / "one.png").write_bytes(encoded(scene(5)))
    assert run_index(filmed, clips).missing == 4
    assert run_index(filmed, clips, prune_all=True).removed == 4
    assert paths(filmed) == ["one.png"]


def test_a_folder_that_lies_elsewhere_is_not_decoded_again(clips, filmed, monkeypatch):
    clips.rename(clips.with_name("moved"))
    assert relocate(filmed, str(clips), str(clips.with_name("moved"))).items == 4
    monkeypatch.setattr(video_frames, "read", lambda *_: pytest.fail("decoded again"))
    assert run_index(filmed, clips.with_name("moved")).skipped == 4


def test_frames_of_a_packed_gallery_are_those_of_the_video(tmp_path, clips, filmed):
    packed(filmed, tmp_path / "g.zip")
    other = unpacked(tmp_path / "g.zip", "other", Library(tmp_path / "there"))
    reports = [run_index(other, clips) for _ in range(2)]
    assert [(report.added, report.moved, report.skipped) for report in reports] == [(0, 4, 0), (0, 0, 4)]


def test_what_was_cut_off_goes_on(tmp_path, clips, embedder):
    gallery = Gallery.create(tmp_path / "indexes" / "cut", embedder)
    film(clips / "clips/dog.mp4", [(at, at) for at in range(20)], 20)
    work = index(gallery, str(clips), pace=Pace(commit_images=4, report_seconds=0, window_images=4))
    while next(work).done < 8:
        pass
    work.close()
    assert 0 < len(gallery) < 20
    report = run_index(gallery, clips)
    assert report.items == 20
    assert report.skipped >= 4


def test_videos_that_are_none_cost_themselves_alone(tmp_path, embedder):
    folder = tmp_path / "pictures"
    whole = film(folder / "whole.mkv", FOUR, 4).read_bytes()
    sound(folder / "sound.mp4")
    (folder / "text.avi").write_text("no video")
    (folder / "empty.mov").write_bytes(b"")
    (folder / "cut.mkv").write_bytes(whole[: len(whole) // 3])
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{folder}/whole.mkv\n#EXT-X-ENDLIST\n"
    (folder / "list.mp4").write_text(playlist)
    gallery = Gallery.create(tmp_path / "indexes" / "odd", embedder)
    report = run_index(gallery, folder)
    reasons = {refused.path: refused.reason for refused in report.failed}
    assert sorted(reasons) == ["cut.mkv", "empty.mov", "list.mp4", "sound.mp4", "text.avi"]
    assert "only sound" in reasons["sound.mp4"]
    assert "breaks off" in reasons["cut.mkv"]
    assert all("cannot be read" in reasons[name] for name in ("empty.mov", "list.mp4", "text.avi"))
    assert [path for path in paths(gallery) if path.startswith("whole")] == [f"whole.mkv#t={at}.0" for at in range(4)]
    assert any(path.startswith("cut.mkv") for path in paths(gallery))
    again = run_index(gallery, folder, prune=True)
    assert (again.added, again.removed, len(again.failed)) == (0, 0, 5)


@pytest.mark.parametrize("damage", [(b"Lavf", b"\xe9avf"), (b"isom", b"is\xf6m")])
def test_titles_that_are_no_utf_8_are_no_matter(tmp_path, damage):
    path = film(tmp_path / ("a.mkv" if damage[0] == b"Lavf" else "a.mp4"), FOUR, 4)
    assert damage[0] in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(*damage))
    assert len(times(path)) == 4


def test_a_video_that_is_damaged_gives_what_can_be_decoded(tmp_path):
    path = film(tmp_path / "a.mp4", [(at, at) for at in range(8)], 8)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (data.index(b"moov") - start) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    found = []
    with pytest.raises(images.ImageError, match="damaged"):
        found.extend(video_frames.read(path, Choice.parse("every 1")))
    assert 4 <= len(found) < 8


@pytest.mark.parametrize("content", [b"", b"no video any more"])
def test_a_video_that_broke_keeps_its_frames_while_it_is_there(clips, filmed, content):
    (clips / "one.png").write_bytes(encoded(scene(5)))
    (clips / "clips/dog.mp4").write_bytes(content)
    for prunes in (False, True):
        report = run_index(filmed, clips, prune_all=prunes)
        assert (report.items, report.removed, report.missing, len(report.failed)) == (5, 0, 0, 1)
        assert report.failed[0].reason.endswith("what was indexed there before stays")
    (clips / "clips/dog.mp4").unlink()
    assert run_index(filmed, clips, prune_all=True).removed == 4


def test_a_video_that_was_cut_keeps_what_came_after_the_cut(tmp_path, embedder):
    path = film(tmp_path / "films/dog.mkv", [(at, at) for at in range(8)], 8)
    gallery = Gallery.create(tmp_path / "indexes" / "cut", embedder)
    run_index(gallery, path.parent)
    before = paths(gallery)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = run_index(gallery, path.parent)
    assert (paths(gallery), report.removed, len(report.failed)) == (before, 0, 1)


def test_a_video_that_cannot_be_opened_keeps_its_frames(clips, filmed, monkeypatch):
    os.utime(clips / "clips/dog.mp4", (1, 1))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(video_frames, "read", refuse)
    report = run_index(filmed, clips, prune_all=True)
    assert (report.items, report.removed) == (4, 0)
    assert "Permission denied" in report.failed[0].reason


def test_without_pyav_videos_are_counted_and_nothing_goes(tmp_path, clips, filmed, monkeypatch):
    film(clips / "clips/new.mp4", [(0, 7)], 1)
    os.utime(clips / "clips/dog.mp4", (1, 1))
    (clips / "one.png").write_bytes(encoded(scene(5)))
    for module in (frame_names, video):
        monkeypatch.setattr(module, "available", lambda: False)
    report = run_index(filmed, clips, prune_all=True)
    assert (report.items, report.added, report.removed) == (5, 1, 0)
    assert [refused.reason for refused in report.failed] == [
        '2 videos were left out: videos need PyAV; pip install "unifex[video]"; what was indexed there before stays'
    ]
    (clips / "one.png").unlink()
    with pytest.raises(SourceError, match="videos need PyAV"):
        require_items(open_source(str(clips)))


def test_so_many_frames_are_taken_and_no_more(clips, filmed, monkeypatch):
    monkeypatch.setattr(video, "MAX_FRAMES", 2)
    film(clips / "clips/dog.mp4", [(at, at + 4) for at in range(5)], 5)
    for added in (2, 0):
        report = run_index(filmed, clips)
        assert (report.items, report.added) == (2, added)
        (refused,) = report.failed
        assert (refused.path, "no more than 2 frames" in refused.reason) == ("clips/dog.mp4", True)


@pytest.mark.parametrize("text", ["", "every", "every 0", "every x", "every -1", "every nan", "scene", "scenes 3", "5"])
def test_frames_are_chosen_in_one_of_two_ways(text):
    with pytest.raises(SourceError, match="neither"):
        Choice.parse(text)


def test_the_command_line_chooses_frames(tmp_path, clips, capsys):
    ask = ["index", str(clips), "--gallery", "made", "--library", str(tmp_path / "library"), "--frames"]
    assert main([*ask, "every", "2"]) == 0
    assert "2 items" in capsys.readouterr().out
    assert main([*ask, "sometimes"]) == 1
    assert "'every SECONDS'" in capsys.readouterr().err


def test_one_video_is_a_source(tmp_path, clips, embedder):
    gallery = Gallery.create(tmp_path / "indexes" / "one", embedder)
    assert run_index(gallery, clips / "clips/dog.mp4").added == 4
    assert paths(gallery)[0] == "dog.mp4#t=0.0"


def test_videos_elsewhere_are_refused_with_the_reason(tmp_path, clips):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(clips / "clips/dog.mp4", "clips/dog.mp4")
    for source in (open_source(str(packed)), open_source(str(clips), Options(keep=True))):
        assert [refused.reason for refused in source] == [video.ELSEWHERE]
    assert [refused.reason for refused in open_source(str(clips))] == [video.NOT_HERE]  # to whoever takes no frames
    (clips / "manifest.csv").write_text("path,label\nclips/dog.mp4,dog\n")
    (refused,) = open_source(str(clips))
    assert "a video" in refused.reason


def test_a_forecast_decodes_the_first_frames_alone(clips, embedder):
    told = forecast(embedder, str(clips))
    assert (told.images, told.tried) == (4, 1)


def test_a_decoder_does_not_log_into_python(clips, embedder):
    """It would wait for the interpreter, which waits for the decoder to end."""
    video_frames.av.logging.set_level(video_frames.av.logging.ERROR)  # as another library does when it is imported
    assert forecast(embedder, str(clips)).images == 4
    assert video_frames.av.logging.get_level() is None


def test_pictures_are_there_when_the_video_is_not(tmp_path, clips, filmed):
    shutil.rmtree(clips)
    record = filmed.records(filmed.snapshot().columns.ids)[0]
    assert images.decode(filmed.original(record)).width == SIZE[0]
    finish(export(Selection.of(filmed), FORMATS["files"], tmp_path / "out"))
    written_files = sorted(path.name for path in (tmp_path / "out").rglob("*.jpg"))
    assert written_files == [f"dog.mp4#t={second}.0.jpg" for second in range(4)]
    packed(filmed, tmp_path / "filmed.zip", images=True)
    copy = unpacked(tmp_path / "filmed.zip", "copy", Library(tmp_path / "others"))
    assert images.decode(copy.original(copy.records(copy.snapshot().columns.ids)[0])).width == SIZE[0]


def test_the_large_view_plays_the_video_from_that_second(clips, filmed):
    record = next(record for record in filmed.records(filmed.snapshot().columns.ids) if record.path.endswith("=3.0"))
    own = item_page.detail(item_page.Shown(record, "filmed", video=True))
    assert "<dd>0:03" in own
    assert f'src="{address(VIDEO, "filmed", record).replace("&", "&amp;")}#t=3.0"' in own
    others = item_page.detail(item_page.Shown(record, "filmed", strangers=True))
    assert ("<dd>0:03" in others, "<video" in others) == (True, False)

    def served(public: bool) -> TestClient:
        context = SimpleNamespace(settings=SimpleNamespace(public=public), gallery=lambda name: filmed)
        app = FastAPI(routes=item_routes(context))
        app.auth = app.auth_dependency = None
        return TestClient(app)

    where = f"/{address(VIDEO, 'filmed', record)}"
    data = (clips / "clips/dog.mp4").read_bytes()
    answer = served(public=False).get(where, headers={"Range": "bytes=10-29"})
    assert (answer.status_code, answer.content) == (206, data[10:30])
    assert served(public=True).get(where).status_code == 404
    os.utime(clips / "clips/dog.mp4", (1, 1))
    assert served(public=False).get(where).status_code == 404
    with pytest.raises(GalleryError, match="no longer there"):
        filmed.video_file(record)


def test_names_of_moments():
    assert video_of("a/b.MP4#t=1.5") == "a/b.MP4"
    assert not any(map(video_of, ("a/b.mp4", "a/b.png#t=1.5", "a.mp4#t=", "a.mp4#t=x.0", "a.mp4#t=1.0/b.png")))
    assert [written(12), written(3.3666), written(0)] == ["12.0", "3.367", "0.0"]
    assert [clock(12.9), clock(75), clock(3723)] == ["0:12", "1:15", "1:02:03"]
    item = Item("/a.mp4#t=1.0", "a.mp4#t=1.0", lambda: b"")
    assert frame_names.file_name(item.path) == "a.mp4#t=1.0.jpg"
