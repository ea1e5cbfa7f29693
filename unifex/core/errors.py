"""The one root of what this program says no with.

A message of it is a sentence for people: what is wrong, and what to do. Everything else that is raised, a
``ValueError`` of numpy included, is a defect and is shown as one (``text.explain``).
"""


class UnifexError(Exception):
    """Something that a user can mend; the message names the cause and the remedy. ``command``: what that is to type,
    for the command line alone: a page has its own ways."""

    def __init__(self, *sentence: object, command: str = ""):
        super().__init__(*sentence)
        self.command = command
