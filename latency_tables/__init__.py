"""What was measured: pure data. Imports no machine-learning framework and no hardware."""

from latency_tables.accuracy import AccuracyReport, ValidationReport, accuracy_report, validation_report
from latency_tables.measurement import Failure, FailureStatus, Measurement
from latency_tables.prediction import CALL_OVERHEAD, LatencyModel, Prediction, Term
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable, TableHeader
from latency_tables.validation import PredictedNetwork, Validation

__all__ = [
    "CALL_OVERHEAD",
    "AccuracyReport",
    "Failure",
    "FailureStatus",
    "LatencyModel",
    "LatencyTable",
    "Measurement",
    "OpSpec",
    "PredictedNetwork",
    "Prediction",
    "TableHeader",
    "Term",
    "Validation",
    "ValidationReport",
    "accuracy_report",
    "validation_report",
]
