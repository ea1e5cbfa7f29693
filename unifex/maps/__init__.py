"""Embeddings to coordinates on a page: UMAP in a process of its own, and the page that shows it.

Gives ``project`` and ``page``.
"""
