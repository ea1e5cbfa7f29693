"""The browser app: one file a tab, and ``gradio`` nowhere else."""
