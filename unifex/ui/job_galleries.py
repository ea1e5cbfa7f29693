"""Which galleries a job is about; its name may be a model's."""

from __future__ import annotations

from unifex.core.jobs import Job


def galleries_of(job: Job) -> list[str]:
    """Those that it finds where they lie, or makes."""
    about = {
        "train": [job.source],
        "use": job.name.split(", "),
        "pick": [job.name, job.source],
        "download": [],
        "export": [],
    }
    return about.get(job.kind, [job.name])
