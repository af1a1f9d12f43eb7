"""Runs: a run folder with what binds it."""

from cars_hw.runs.run import Run, write_text, writing_into

__all__ = ["Run", "write_text", "writing_into"]
