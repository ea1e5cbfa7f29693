"""The page's tabs, one file each: layout and handlers.

Gives ``SearchTab`` and so on to ``ui.app``.
"""
