"""Colours, type and the few scripts of the page. Nothing is fetched from anywhere else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).resolve().parent.parent.parent / "assets"
CSS_PATHS = [ASSETS / "unifex.css", ASSETS / "map.css"]
FAVICON_PATH = ASSETS / "favicon.png"
SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]

# Delegated, so that it works whenever the header is drawn again; Escape closes the large view.
PAGE_JS = """
() => {
  const remembered = localStorage.getItem('unifex-theme');
  if (remembered) document.body.classList.toggle('dark', remembered === 'dark');
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.theme')) return;
    const dark = document.body.classList.toggle('dark');
    localStorage.setItem('unifex-theme', dark ? 'dark' : 'light');
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') document.querySelector('#close-detail')?.click();
  });
}
"""


def asset(name: str) -> str:
    """The text of a file in ``assets/``."""
    return (ASSETS / name).read_text(encoding="utf-8")


PLOTLY = "plotly.js"  # its address


def plotly_path() -> Path:
    """Plotly's own script, from the package: the page needs no CDN."""
    return Path(importlib.util.find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"


def theme() -> gr.themes.Base:
    """The app's own theme, light and dark, on system fonts."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        secondary_hue=gr.themes.colors.violet,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        font=SYSTEM_FONTS,
        font_mono=MONO_FONTS,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_500",
        button_primary_text_color="white",
        block_border_width="1px",
        block_shadow="0 1px 2px rgba(15, 23, 42, 0.05)",
    )
