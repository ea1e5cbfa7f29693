"""UniFEx in the browser: ``python app.py`` (``--help`` lists the settings)."""

import sys

from unifex.__main__ import app

if __name__ == "__main__":
    sys.exit(app())
