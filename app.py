"""UniFEx in the browser: ``python app.py`` (``--help`` lists the settings)."""

import sys

from unifex.core import console


def main() -> int:
    """Serve until Ctrl+C. What is imported is imported here: wrong settings are told first, and Ctrl+C may come."""
    from unifex.cli.settings import read_settings

    settings = read_settings()
    from unifex.ui.app import serve

    serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(console.run(main, "the galleries are as they were left"))
