"""``/api/v1``: the galleries over plain HTTP, as JSON, for who does not speak Gradio."""
