"""What was measured: pure data. Imports no machine-learning framework and no hardware."""

from latency_tables.measurement import Failure, FailureStatus, Measurement
from latency_tables.prediction import (
    CALL_OVERHEAD,
    AccuracyReport,
    LatencyModel,
    Prediction,
    Term,
    accuracy_report,
)
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable, TableHeader

__all__ = [
    "CALL_OVERHEAD",
    "AccuracyReport",
    "Failure",
    "FailureStatus",
    "LatencyModel",
    "LatencyTable",
    "Measurement",
    "OpSpec",
    "Prediction",
    "TableHeader",
    "Term",
    "accuracy_report",
]
