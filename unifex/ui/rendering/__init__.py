"""Results to markup; nothing here knows Gradio.

Gives functions from results to ``str``.
"""
