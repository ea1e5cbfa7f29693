"""UniFEx in the browser: ``python app.py`` (``--help`` lists the settings)."""

import sys

from unifex import console
from unifex.settings import read_settings


def main() -> int:
    """Serve until Ctrl+C."""
    settings = read_settings()
    from unifex.ui.app import serve

    serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(console.run(main, "the galleries are as they were left"))
