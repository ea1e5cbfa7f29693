"""UniFEx: drop a folder of images and get a universal visual search engine. docs/design.md shows the rooms."""

__version__ = "0.1.0"
