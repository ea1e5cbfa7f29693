"""The two programs: ``python -m unifex`` (or ``unifex``), and the app (``python app.py`` or ``unifex-app``).

Whatever is heavy is imported within them: wrong settings are told first, and Ctrl+C may come at any time.
"""

import sys

from unifex.core import console
from unifex.core.errors import UnifexError
from unifex.core.system import terminated_as_interrupted


def commands() -> int:
    """Run the command that the command line names; the exit code."""

    def run() -> int:
        from unifex.cli.main import main

        return main()

    with terminated_as_interrupted() as came:
        code = console.run(run, "nothing was begun")
    return 128 + came[0] if came and code else code  # nothing can be said to a terminal that is closed


def app() -> int:
    """Serve the app until Ctrl+C; the exit code."""

    def run() -> int:
        from unifex.cli.settings import read_settings

        console.log_with_times("unifex")
        settings = read_settings()
        try:
            from unifex.ui.app import serve
        except ModuleNotFoundError as error:
            if error.name != "gradio":
                raise
            raise UnifexError("the page needs gradio: pip install 'unifex[app]'") from error
        serve(settings)
        return 0

    return console.run(run, "the galleries are as they were left")


if __name__ == "__main__":
    sys.exit(commands())
