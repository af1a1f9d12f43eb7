"""Measurements and predictions: pure data. Imports no machine-learning framework and no hardware."""

from latency_tables.errors import (
    ChangedConditionsError,
    DamagedFileError,
    EditedFileError,
    MissingEntryError,
    SpecError,
    TableError,
    TableMismatchError,
)
from latency_tables.header import Changeable, Changes, Extent, Setting, TableHeader, changeable
from latency_tables.intervals.pooled import pooled_intervals
from latency_tables.journal import partial_path
from latency_tables.measurement import (
    FAST_MODE_QUANTILE,
    PROCESS_BLOCKS,
    Conditions,
    Entry,
    Failure,
    FailureStatus,
    Measurement,
)
from latency_tables.prediction import CALL_OVERHEAD, LatencyModel, Observation, Prediction, Term
from latency_tables.prediction_error import (
    PredictionErrorReport,
    SessionSpeed,
    ValidationReport,
    halves_s,
    prediction_error_report,
    reference_of,
    validation_report,
)
from latency_tables.repair import LostLine, Repair, repair_table
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from latency_tables.validation import PredictedNetwork, Validation

__all__ = [
    "CALL_OVERHEAD",
    "FAST_MODE_QUANTILE",
    "PROCESS_BLOCKS",
    "Changeable",
    "ChangedConditionsError",
    "Changes",
    "Conditions",
    "DamagedFileError",
    "EditedFileError",
    "Entry",
    "Extent",
    "Failure",
    "FailureStatus",
    "LatencyModel",
    "LatencyTable",
    "LostLine",
    "Measurement",
    "MissingEntryError",
    "Observation",
    "OpSpec",
    "PredictedNetwork",
    "Prediction",
    "PredictionErrorReport",
    "Repair",
    "SessionSpeed",
    "Setting",
    "SpecError",
    "TableError",
    "TableHeader",
    "TableMismatchError",
    "Term",
    "Validation",
    "ValidationReport",
    "changeable",
    "halves_s",
    "partial_path",
    "pooled_intervals",
    "prediction_error_report",
    "reference_of",
    "repair_table",
    "validation_report",
]
