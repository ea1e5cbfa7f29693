"""The OpenAPI document as a page to read, which fetches nothing from anywhere."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment

from unifex.ui.server.guard import REST

_TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ api.info.title }} API</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color-scheme: light dark; }
code, pre { font-size: 13px; } pre { overflow: auto; } h2 { margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
</style>
<h1>{{ api.info.title }} {{ api.info.version }}</h1>
<p>{{ api.info.description }}</p>
<p>Below <code>{{ api.servers[0].url }}</code>; as a document for programs:
<a href="{{ document }}">{{ document }}</a></p>
{% for path, operations in api.paths.items() %}{% for method, operation in operations.items() %}
<h2 id="{{ operation.operationId }}"><code>{{ method.upper() }} {{ path }}</code></h2>
<p>{{ operation.description }}</p>
{% if operation.parameters %}<table><tr><th>parameter<th>in<th>what
{% for one in operation.parameters %}
<tr><td><code>{{ one.name }}</code><td>{{ one.in }}<td>{{ one.description or one.schema.description }}
{% endfor %}</table>{% endif %}
{% if operation.requestBody %}<p>Sends{% for kind, body in operation.requestBody.content.items() %}
<code>{{ kind }}</code>{{ named(body.schema) }}{% endfor %}</p>{% endif %}
<table><tr><th>status<th>answer
{% for status, answer in operation.responses.items() %}<tr><td>{{ status }}<td>{{ answer.description }}
{% for kind, body in (answer.content or {}).items() %}<code>{{ kind }}</code>{{ named(body.schema) }} {% endfor %}
{% endfor %}</table>
{% endfor %}{% endfor %}
<h1>What is sent and answered</h1>
{% for name, schema in api.components.schemas.items() %}
<h2 id="schema-{{ name }}">{{ name }}</h2><p>{{ schema.description }}</p>
<table>{% for field, value in (schema.properties or {}).items() %}
<tr><td><code>{{ field }}</code><td>{{ value.description }}<td>{{ named(value) or value.type }}
<td>{% if value.examples %}<code>{{ written(value.examples[0]) }}</code>{% endif %}
{% endfor %}</table>{% endfor %}
</html>
"""


def docs_page(api: dict[str, Any]) -> str:
    """HTML of an OpenAPI document."""
    page = Environment(autoescape=True).from_string(_TEMPLATE)
    document = f"{REST}/openapi.json".lstrip("/")  # the page may be below a path
    return page.render(api=api, document=document, named=_named, written=json.dumps)


def _named(schema: dict[str, Any] | None) -> str:
    """The name of what a schema refers to, if it does, itself or for each of a list."""
    schema = schema or {}
    referred = schema.get("$ref") or schema.get("items", {}).get("$ref", "")
    return f" {referred.rpartition('/')[2]}" if referred else ""
