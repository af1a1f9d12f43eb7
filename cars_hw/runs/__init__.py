"""Runs: a run folder with what binds it, amendments to its configuration, measurements of its fronts."""

from cars_hw.runs.amendments import Amendment, Change
from cars_hw.runs.changes import is_limit
from cars_hw.runs.files import write_text
from cars_hw.runs.measurements import MeasuredSession, MeasurementFile
from cars_hw.runs.measuring import (
    MeasuredTarget,
    Measurer,
    SearchMeasuring,
    require_measurable,
    search_measuring,
)
from cars_hw.runs.run import Run, writing_into

__all__ = [
    "Amendment",
    "Change",
    "MeasuredSession",
    "MeasuredTarget",
    "MeasurementFile",
    "Measurer",
    "Run",
    "SearchMeasuring",
    "is_limit",
    "require_measurable",
    "search_measuring",
    "write_text",
    "writing_into",
]
