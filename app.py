"""UniFEx in the browser: ``python app.py`` (``--help`` lists the settings)."""

import sys

from unifex.settings import read_settings
from unifex.text import reason


def main() -> int:
    """Serve until Ctrl+C; exit code 1 with a sentence when that is not possible."""
    settings = read_settings()
    from unifex.backbones import BackboneError
    from unifex.embedder import ModelError
    from unifex.ui.app import serve

    try:
        serve(settings)
    except (BackboneError, ModelError, OSError) as error:
        print(f"unifex: {reason(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
