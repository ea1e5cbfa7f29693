"""Labels to a neck: losses, samples, the loop, what is held out, results, going on after a stop, model cards.

Gives ``train``; a further loss is one class in ``losses`` and one line of the table in ``config``.
"""
