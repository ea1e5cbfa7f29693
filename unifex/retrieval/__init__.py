"""A query and what is found for it: images, items and text, filters, re-ranking.

Gives ``search``, ``Query``, ``Filters``, ``Hit`` and ``SearchResult``; takes a gallery.
"""
