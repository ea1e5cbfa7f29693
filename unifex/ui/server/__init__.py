"""What is between the net and the page: who may come in, limits, workspaces of visitors, routes, endpoints.

Gives ``Guard``, ``Door`` and the routes.
"""
