"""What is between the net and the page: who may come in, limits, workspaces of visitors, uploads.

Gives ``Guard`` and ``Door``; routes and endpoints lie in :mod:`unifex.ui`.
"""
