"""What is told of a model that a new gallery can be made with."""

import dataclasses
import html

import gradio as gr
import pytest

from unifex.cli.settings import Settings
from unifex.core.language import speak
from unifex.gallery.library import Library
from unifex.models import descriptions, throughput
from unifex.models.embedder import BUNDLED_MODELS, Embedder
from unifex.ui.components.model_picker import ModelPicker
from unifex.ui.context import AppContext


@pytest.fixture
def picker(tmp_path, embedder):
    made = ModelPicker(AppContext(Settings(), Library(tmp_path), embedder))
    with gr.Blocks():
        made.build()
    yield made
    speak("en")


def told(picker: ModelPicker, name: str) -> str:
    return html.unescape(picker.show(name)[picker.facts])


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (1234.5, "1,200 images/s"),
        (123.4, "120 images/s"),
        (99.6, "100 images/s"),
        (9.34, "9.3 images/s"),
        (9.96, "10 images/s"),
        (0.41, "2.4 s an image"),
        (0.0004, "2,500 s an image"),
    ],
)
def test_the_speed_has_two_digits_and_no_exponent(picker, monkeypatch, rate, text):
    monkeypatch.setattr(throughput, "images_per_second", lambda spec: rate)
    assert f">{text}<" in told(picker, picker.context.embedder.name)


def test_the_program_tells_of_its_own_models_in_german(picker, monkeypatch):
    monkeypatch.setattr(throughput, "images_per_second", lambda spec: 1234.5)
    speak("de")
    facts = told(picker, "unifex-lite-4")
    assert "Auf 8\u202f976 Bildern von 2\u202f002 Klassen trainiert" in facts
    assert ">EfficientNet-Lite0, angepasst<" in facts
    assert ">1\u202f200 Bilder/s<" in facts
    for name in sorted(path.name for path in BUNDLED_MODELS.iterdir()):
        assert " trainiert" in told(picker, name)
        assert "rained on" not in told(picker, name)


def test_what_a_model_says_of_itself_is_known_again_in_any_language():
    kept = [
        (descriptions.OF_CLASSES.format(images=12_345, classes=678, others=9), "12\u202f345 Bildern von 678 Klassen"),
        (descriptions.OF_IMAGES.format(images=50, classes=6), "mit Bildern, auf denen nicht trainiert"),
        (descriptions.IMPORTED.format(file="a {b} c.pt"), "Aus a {b} c.pt übernommen."),
        (descriptions.IMPORTED_LAYER.format(file="neck.npz"), "Eine lineare Schicht, aus neck.npz übernommen."),
    ]
    assert [descriptions.said(text) for text, _ in kept] == [text for text, _ in kept]
    speak("de")
    try:
        for text, german in kept:
            assert german in descriptions.said(text)
    finally:
        speak("en")


def test_what_somebody_wrote_of_a_model_stays_as_it_is(picker, tmp_path):
    bundled = Embedder.load("unifex-lite-4")
    own = "Trained on 12 images of my cat {and} <me>."
    config = dataclasses.replace(bundled.config, name="mine", description=own)
    Embedder(config, bundled.neck, bundled.backbone).save(picker.context.library.models / "mine")
    speak("de")
    assert own in told(picker, "mine")
