"""What every part needs, and nothing of the product: errors, progress, jobs, images, files, texts, numbers.

Gives ``UnifexError``, ``Step``, ``Jobs``, ``decode``.
"""
