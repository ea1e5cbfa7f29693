"""Colours, type and the few scripts of the page. Nothing is fetched from anywhere else."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gradio.themes import Base, colors, sizes

from unifex.core.assets import ASSETS

CSS_PATHS = [ASSETS / name for name in ("unifex.css", "map.css", "large-view.css", "touch.css")]
FAVICON_PATH = ASSETS / "favicon.png"
SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]


def asset(name: str) -> str:
    """The text of a file in ``assets/``."""
    return (ASSETS / name).read_text(encoding="utf-8")


PLOTLY = "plotly.js"  # its address


def plotly_path() -> Path:
    """Plotly's own script, from the package: the page needs no CDN."""
    return Path(str(files("plotly"))) / "package_data" / "plotly.min.js"


def theme() -> Base:
    """The app's own theme, light and dark, on system fonts."""
    return Base(
        primary_hue=colors.indigo,
        secondary_hue=colors.violet,
        neutral_hue=colors.slate,
        radius_size=sizes.radius_lg,
        font=SYSTEM_FONTS,
        font_mono=MONO_FONTS,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",  # every text has 4.5:1 and more against what it stands on
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        color_accent="*primary_600",
        input_border_color_focus="*primary_600",
        input_shadow_focus="0 0 0 2px *primary_600",
        input_shadow_focus_dark="0 0 0 2px *primary_300",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_cancel_background_fill="transparent",  # what takes away is an outline in red, other than all else
        button_cancel_background_fill_dark="transparent",
        button_cancel_background_fill_hover="#b91c1c",
        button_cancel_background_fill_hover_dark="#b91c1c",
        button_cancel_text_color="#b91c1c",
        button_cancel_text_color_dark="#fca5a5",
        button_cancel_text_color_hover="white",
        button_cancel_text_color_hover_dark="white",
        button_cancel_border_color="#b91c1c",
        button_cancel_border_color_dark="#f87171",
        button_border_width="1px",
        block_border_width="1px",
        block_shadow="0 1px 2px rgba(15, 23, 42, 0.05)",
    )
