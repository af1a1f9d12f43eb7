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
from latency_tables.header import Changeable, Changes, Extent, KeyedBy, Setting, TableHeader, changeable
from latency_tables.intervals.pooled import pooled_intervals
from latency_tables.journal import Journal, partial_path, read_lines
from latency_tables.measurement import (
    FAST_MODE_QUANTILE,
    PROCESS_BLOCKS,
    Conditions,
    Entry,
    Failure,
    FailureStatus,
    Measurement,
)
from latency_tables.models.operations import LatencyModel, Observation
from latency_tables.models.units import NetworkObservation, UnitModel
from latency_tables.networks.model import FEWEST_NETWORKS, CountedNetwork, NetworksModel, choose_networks
from latency_tables.prediction import CALL_OVERHEAD, Prediction, Term
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
from latency_tables.units.classes import UNIT_CLASSES, UnitClass, UnitWork, unit_class, unit_work
from latency_tables.units.graph import IMAGE, ExecutedGraph, ExecutedNode
from latency_tables.units.record import executed_from_fields, executed_to_fields
from latency_tables.units.text import unit_text
from latency_tables.units.unit import Unit, is_unit
from latency_tables.validation import VALIDATION_NETWORKS, PredictedNetwork, Validation

__all__ = [
    "CALL_OVERHEAD",
    "FAST_MODE_QUANTILE",
    "FEWEST_NETWORKS",
    "IMAGE",
    "PROCESS_BLOCKS",
    "UNIT_CLASSES",
    "VALIDATION_NETWORKS",
    "Changeable",
    "ChangedConditionsError",
    "ChangedSpeedError",
    "Changes",
    "Conditions",
    "CountedNetwork",
    "DamagedFileError",
    "EditedFileError",
    "Entry",
    "ExecutedGraph",
    "ExecutedNode",
    "Extent",
    "Failure",
    "FailureStatus",
    "Journal",
    "KeyedBy",
    "LatencyModel",
    "LatencyTable",
    "LostLine",
    "Measurement",
    "MissingEntryError",
    "NetworkObservation",
    "NetworksModel",
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
    "Unit",
    "UnitClass",
    "UnitModel",
    "UnitWork",
    "Validation",
    "ValidationReport",
    "changeable",
    "choose_networks",
    "entry_from_fields",
    "entry_to_fields",
    "executed_from_fields",
    "executed_to_fields",
    "halves_s",
    "is_unit",
    "partial_path",
    "pooled_intervals",
    "prediction_error_report",
    "read_lines",
    "reference_of",
    "repair_table",
    "session_speed",
    "unit_class",
    "unit_text",
    "unit_work",
    "validation_report",
]
