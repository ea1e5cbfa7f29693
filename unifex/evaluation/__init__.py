"""How good a gallery's hits are: mMP@5 and its kin, protocols, intervals, comparisons, failures.

Gives ``evaluate`` and ``compare``.
"""
