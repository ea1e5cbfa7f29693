"""Where the files that come with the program lie: beside the package in a checkout, inside it once it is installed."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ASSETS = next(folder / "assets" for folder in (PACKAGE, PACKAGE.parent) if (folder / "assets").is_dir())
