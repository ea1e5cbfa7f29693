"""Where the files that come with the program lie: beside the package in a checkout, inside it once it is installed."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
# A worker on another machine is sent the package alone, and needs none of them.
ASSETS = next((at / "assets" for at in (PACKAGE, PACKAGE.parent) if (at / "assets").is_dir()), PACKAGE / "assets")
