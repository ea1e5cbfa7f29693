"""What the page shows that is not a Gradio component, as HTML text.

Small functions from what the library gives to markup out of ``unifex/templates``, where every text is escaped: no name
of a file or a label is ever markup. Gives functions to tabs and components; nothing here knows Gradio.
"""
