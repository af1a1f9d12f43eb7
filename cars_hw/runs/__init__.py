"""Runs: a run folder with what binds it, the amendments to its configuration, and what may be amended."""

from cars_hw.runs.amendments import Amendment, Change
from cars_hw.runs.changes import is_limit
from cars_hw.runs.files import write_text
from cars_hw.runs.run import Run, writing_into

__all__ = ["Amendment", "Change", "Run", "is_limit", "write_text", "writing_into"]
