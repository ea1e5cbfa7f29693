import hashlib
import shutil

from PIL import ImageStat

from unifex.core import images
from unifex.core.progress import finish
from unifex.data.demo import Demo, render
from unifex.evaluation.compare import compare
from unifex.gallery.library import Library


def test_demo_has_eleven_domains_and_is_drawn_the_same_every_time():
    items = list(Demo())
    assert len(items) == Demo().count() == 264
    assert len({item.domain for item in items}) == 11
    assert len({(item.domain, item.label) for item in items}) == 44
    first = hashlib.sha256(render("toys", 1, 3)).hexdigest()
    assert first == hashlib.sha256(render("toys", 1, 3)).hexdigest()
    assert len({item.uri for item in items}) == 264


def test_drawings_are_pictures():
    for item in list(Demo())[::24]:
        image = images.decode(item.read()).image
        assert image.size == (320, 320)
        assert max(ImageStat.Stat(image).stddev) > 15


def test_demo_can_be_searched(tmp_path, demo):
    gallery = Library(shutil.copytree(demo, tmp_path / "indexes")).get("demo (synthetic)")
    assert len(gallery) == 264
    found = finish(compare(gallery))
    assert found.main.split.protocol.kind == "split"
    assert found.main.overall().value > 0.6  # chance is below 0.03
