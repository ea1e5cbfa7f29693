"""Where images and labels come from: folders, archives, CSVs, public data sets, uploads, drawn demos.

Gives ``open_source(spec)``, which yields ``Item``; a further kind of source is one file and one line in ``sources``.
"""
