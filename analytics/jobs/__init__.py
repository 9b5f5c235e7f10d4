"""The dashboard's one door to work that takes long: a sample, a delivery, a build, each in a process of its own.

One job at a time per store, whatever session began it. The process gets its order in one line, reports in JSON lines, and
ends with the server. What was uploaded lies in a folder only this user can read, and goes when the job ends.
"""

from analytics.jobs.deliveries import Column, can_build, columns, tables, title, unbuilt
from analytics.jobs.job import SIZES, Job, State, Upload, build, forget, ingest, of, safe_name, sample

__all__ = [
    "SIZES",
    "Column",
    "Job",
    "State",
    "Upload",
    "build",
    "can_build",
    "columns",
    "forget",
    "ingest",
    "of",
    "safe_name",
    "sample",
    "tables",
    "title",
    "unbuilt",
]
