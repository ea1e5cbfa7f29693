"""How good a gallery's hits are: mMP@5 and its kin, protocols, intervals, comparisons, failures.

Gives ``compare`` for a gallery and ``evaluate`` for embeddings; a further protocol is one entry of the table in
``protocols``.
"""
