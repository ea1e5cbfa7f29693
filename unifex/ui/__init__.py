"""The browser app: one file a tab, and ``gradio`` nowhere else."""

import os

from unifex.core import proxies

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported: nothing is reported
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")  # answers: else after each one 13 ms of a
# core go into a table of all answers so far, which nobody reads
with proxies.ignored():  # it makes clients when it is imported, and a proxy that they do not know would end the start
    import gradio  # noqa: F401
