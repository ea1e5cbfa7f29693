"""Labels to a neck: losses, samples, the loop, what is held out, results, going on after a stop, model cards.

Gives ``train``; a further loss is one class and one line in ``losses``.
"""
