"""Scaling out: sources split into shards, Ray embeds them, and what it writes becomes a gallery.

Gives ``plan`` (what there is to do) and ``embed`` (done on a cluster).
"""
