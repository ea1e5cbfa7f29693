"""``python -m unifex``: one file a group of commands, options and settings, which the app has too.

Gives ``main`` and ``read_settings``.
"""
