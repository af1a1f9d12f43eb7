"""Measurements and predictions: pure data. Imports no machine-learning framework and no hardware."""

from latency_tables.errors import (
    ChangedConditionsError,
    ChangedSpeedError,
    DamagedFileError,
    EditedFileError,
    MissingEntryError,
    SpecError,
    TableError,
    TableMismatchError,
)
from latency_tables.fields import entry_from_fields, entry_to_fields
from latency_tables.header import Changeable, Changes, Extent, Setting, TableHeader, changeable
from latency_tables.journal import Journal, partial_path, read_lines
from latency_tables.measurement import (
    FAST_MODE_QUANTILE,
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
    session_speed,
    validation_report,
)
from latency_tables.repair import LostLine, Repair, repair_table
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from latency_tables.validation import PredictedNetwork, Validation

__all__ = [
    "CALL_OVERHEAD",
    "FAST_MODE_QUANTILE",
    "Changeable",
    "ChangedConditionsError",
    "ChangedSpeedError",
    "Changes",
    "Conditions",
    "DamagedFileError",
    "EditedFileError",
    "Entry",
    "Extent",
    "Failure",
    "FailureStatus",
    "Journal",
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
    "entry_from_fields",
    "entry_to_fields",
    "halves_s",
    "partial_path",
    "prediction_error_report",
    "read_lines",
    "reference_of",
    "repair_table",
    "session_speed",
    "validation_report",
]
