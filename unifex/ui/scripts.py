"""The page's scripts: modules in ``assets/`` that a browser asks for when it first needs them, and keeps.

``/code/VERSION/NAME.js`` is ``assets/NAME.js``; VERSION changes with any of them, so that all are of one make and are
kept for good. Modules import each other by ``./NAME.js``. One that is bound to a part of the page exports by default a
function of what Gradio gives to the script of a ``gr.HTML``: ``{ element, props, watch, trigger, server }``.
``/code/VERSION/words-de.js`` is what they say in another language than English (``assets/say.js``).
"""

from __future__ import annotations

import hashlib
import json

from fastapi.routing import APIRoute
from starlette.responses import Response

from unifex.core.assets import ASSETS
from unifex.core.language import ENGLISH, LOCALE, say, spoken, words_for_scripts
from unifex.ui.server.door import refused
from unifex.ui.server.rates import Refusal

MODULES = {path.name: path for path in sorted(ASSETS.glob("*.js"))}
_SOURCES = [*MODULES.values(), *sorted(LOCALE.glob("*.po"))]
VERSION = hashlib.sha256(b"\0".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
_GIVEN = "{ element, props, watch, trigger, server: typeof server === 'undefined' ? {} : server }"


def scripts(*names: str) -> str:
    """The ``js_on_load`` that binds these modules, by name, to their part of the page. Raises KeyError for none."""
    return "\n".join(
        f"import(new URL('code/{VERSION}/{MODULES[f'{name}.js'].name}', document.baseURI))"
        f".then((module) => module.default({_GIVEN}));"
        for name in names
    )


def words_address() -> str:
    """Where a page finds what its scripts say in another language; empty in English."""
    return f"code/{VERSION}/{_words()}" if spoken() != ENGLISH else ""


def _words() -> str:
    return f"words-{spoken()}.js"


def script_route() -> APIRoute:
    """Answers with a module. A page that is older than the server gets today's, and keeps none."""

    def answer(version: str, name: str) -> Response:
        headers = _KEPT if version == VERSION else {"Cache-Control": "no-store"}
        if name == _words():
            script = f"globalThis.unifexWords = {json.dumps(words_for_scripts(), ensure_ascii=False)};".encode()
        elif name in MODULES:
            script = MODULES[name].read_bytes()
        else:
            return refused(Refusal(404, say("there is no such script")))
        return Response(script, media_type="text/javascript", headers=headers)

    return APIRoute("/code/{version}/{name}", answer, include_in_schema=False)
