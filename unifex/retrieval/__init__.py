"""A query and what is found for it: images, words, several of both, filters, re-ranking.

Gives ``search`` and ``Hit``.
"""
