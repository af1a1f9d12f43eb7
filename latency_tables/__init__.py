"""What was measured: pure data. Imports no machine-learning framework and no hardware."""

from latency_tables.accuracy import (
    AccuracyReport,
    ValidationReport,
    accuracy_report,
    halves_s,
    validation_report,
)
from latency_tables.errors import (
    DamagedFileError,
    MissingEntryError,
    SpecError,
    TableError,
    TableMismatchError,
)
from latency_tables.header import Extent, Setting, TableHeader
from latency_tables.measurement import (
    FAST_MODE_QUANTILE,
    Conditions,
    Entry,
    Failure,
    FailureStatus,
    Measurement,
)
from latency_tables.prediction import CALL_OVERHEAD, LatencyModel, Observation, Prediction, Term
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable
from latency_tables.validation import PredictedNetwork, Validation

__all__ = [
    "CALL_OVERHEAD",
    "FAST_MODE_QUANTILE",
    "AccuracyReport",
    "Conditions",
    "DamagedFileError",
    "Entry",
    "Extent",
    "Failure",
    "FailureStatus",
    "LatencyModel",
    "LatencyTable",
    "Measurement",
    "MissingEntryError",
    "Observation",
    "OpSpec",
    "PredictedNetwork",
    "Prediction",
    "Setting",
    "SpecError",
    "TableError",
    "TableHeader",
    "TableMismatchError",
    "Term",
    "Validation",
    "ValidationReport",
    "accuracy_report",
    "halves_s",
    "validation_report",
]
