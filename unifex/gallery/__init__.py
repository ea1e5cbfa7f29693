"""A gallery on disk: items, features and what is derived from them; making it, correcting it, taking it elsewhere.

``gallery`` has its face, :class:`Gallery`, over ``database`` (what is kept), ``derived_data`` (what follows from that)
and ``writer`` (what changes it); ``indexing`` fills it from a source, and ``library`` is the folder of all galleries.
"""
