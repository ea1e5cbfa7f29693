"""``python -m unifex``."""

import sys

from unifex.core import console


def main() -> int:
    """All of it is imported here, so that Ctrl+C may come at any time."""
    from unifex.cli.main import main

    return main()


sys.exit(console.run(main, "nothing was begun"))
