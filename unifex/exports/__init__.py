"""Galleries, or some of their items, as other programs read them: one file a format, in the table of ``formats``.

A format writes to a target, which is a folder, a file or a zip on its way to a browser; :mod:`unifex.exports.export`
sees to it that what is written is whole or not there.
"""
