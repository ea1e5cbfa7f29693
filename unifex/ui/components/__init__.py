"""Parts that tabs are made of.

Gives classes with ``build`` and ``wire``.
"""
