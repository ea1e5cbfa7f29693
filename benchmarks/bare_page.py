"""The least that a page of Gradio's takes: a button, and an answer of 20 pictures that stand in memory.

    python -m benchmarks.bare_page PORT FOLDER

Serves it on 127.0.0.1, of the pictures in a folder, in turn, which a browser keeps; ``benchmarks.limits`` presses the
button.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SHOWN = 20
KEPT = {"Cache-Control": "private, max-age=3600"}


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(arguments.folder.iterdir())]
    presses = itertools.count(1)

    def answer() -> str:
        press = next(presses)
        numbers = range(press * SHOWN, (press + 1) * SHOWN)
        sources = [f"pictures/{number % len(pictures)}" for number in numbers]
        shown = "".join(f'<img width="120" height="120" src="{source}">' for source in sources)
        return f'<div class="answer" data-press="{press}">{shown}</div>'

    async def picture(request: Request) -> Response:
        return Response(pictures[request.path_params["number"]], media_type="image/jpeg", headers=KEPT)

    with gr.Blocks() as page:
        button, shown = gr.Button("Press", elem_id="press"), gr.HTML("")
        button.click(answer, None, shown, show_progress="hidden")
    routes = [Route("/pictures/{number:int}", picture)]
    page.launch(server_name="127.0.0.1", server_port=arguments.port, quiet=True, app_kwargs={"routes": routes})


if __name__ == "__main__":
    main()
