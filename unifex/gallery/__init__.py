"""A gallery on disk: items, features and what is derived from them; making it, correcting it, taking it elsewhere.

Gives ``Gallery``, ``index(gallery, source)`` and the folder of all galleries.
"""
