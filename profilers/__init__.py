"""How to measure.

The names below are loaded when they are first used: importing this package loads no runtime.
"""

from typing import TYPE_CHECKING

from devices.foundation import lazy

if TYPE_CHECKING:
    from profilers import formats, runtimes
    from profilers._layout import nhwc_shape
    from profilers.doctor import Finding, look_around, look_at, namesakes, twins
    from profilers.errors import (
        BusyError,
        ExportError,
        FellBackError,
        GarbledOutputError,
        ProfilingError,
        ThrottledError,
        UnsupportedOperationError,
        UntimedError,
        WrongOutputError,
    )
    from profilers.filling import (
        CONTROLS,
        Filled,
        Setup,
        fill_table,
        keep_executed,
        lacking,
        measure,
        plan_at,
    )
    from profilers.fleet import Elsewhere, Fleet, Measurer
    from profilers.formats import Description, FileFormat
    from profilers.lowering.batch_norm import distinct_statistics
    from profilers.lowering.borders import WithPreprocessing, WithSoftmax
    from profilers.parts import parts_of
    from profilers.plan import USUAL, MeasurementPlan, Quality, SentinelPlan
    from profilers.profiler import Profiler, plan_for
    from profilers.progress.report import OnProgress, OnStep, Progress, Step, ignore_progress
    from profilers.runtimes._kept import kept_graph
    from profilers.runtimes._runtime import (
        IdentifiedCounter,
        LoweredModel,
        LoweringCounter,
        OperatorTime,
        Runtime,
        UnitCounter,
        Workload,
    )
    from profilers.runtimes._tflite.interpreter import TfLiteModel
    from profilers.trial import tried
    from profilers.units.counter import NetworkNode

__all__ = [
    "CONTROLS",
    "USUAL",
    "BusyError",
    "Description",
    "Elsewhere",
    "ExportError",
    "FellBackError",
    "FileFormat",
    "Filled",
    "Finding",
    "Fleet",
    "GarbledOutputError",
    "IdentifiedCounter",
    "LoweredModel",
    "LoweringCounter",
    "MeasurementPlan",
    "Measurer",
    "NetworkNode",
    "OnProgress",
    "OnStep",
    "OperatorTime",
    "Profiler",
    "ProfilingError",
    "Progress",
    "Quality",
    "Runtime",
    "SentinelPlan",
    "Setup",
    "Step",
    "TfLiteModel",
    "ThrottledError",
    "UnitCounter",
    "UnsupportedOperationError",
    "UntimedError",
    "WithPreprocessing",
    "WithSoftmax",
    "Workload",
    "WrongOutputError",
    "distinct_statistics",
    "fill_table",
    "formats",
    "ignore_progress",
    "keep_executed",
    "kept_graph",
    "lacking",
    "look_around",
    "look_at",
    "measure",
    "namesakes",
    "nhwc_shape",
    "parts_of",
    "plan_at",
    "plan_for",
    "runtimes",
    "tried",
    "twins",
]

_HOMES = {
    "BusyError": "profilers.errors",
    "CONTROLS": "profilers.filling",
    "Description": "profilers.lowering.description",
    "Elsewhere": "profilers.fleet",
    "ExportError": "profilers.errors",
    "FellBackError": "profilers.errors",
    "FileFormat": "profilers.formats._format",
    "Filled": "profilers.filling",
    "Finding": "profilers.doctor",
    "Fleet": "profilers.fleet",
    "GarbledOutputError": "profilers.errors",
    "IdentifiedCounter": "profilers.runtimes._runtime",
    "LoweredModel": "profilers.runtimes._runtime",
    "LoweringCounter": "profilers.runtimes._runtime",
    "MeasurementPlan": "profilers.plan",
    "Measurer": "profilers.fleet",
    "NetworkNode": "profilers.units.counter",
    "OnProgress": "profilers.progress.report",
    "OnStep": "profilers.progress.report",
    "OperatorTime": "profilers.runtimes._runtime",
    "Profiler": "profilers.profiler",
    "ProfilingError": "profilers.errors",
    "Progress": "profilers.progress.report",
    "Quality": "profilers.plan",
    "Runtime": "profilers.runtimes._runtime",
    "SentinelPlan": "profilers.plan",
    "Setup": "profilers.filling",
    "Step": "profilers.progress.report",
    "TfLiteModel": "profilers.runtimes._tflite.interpreter",
    "ThrottledError": "profilers.errors",
    "USUAL": "profilers.plan",
    "UnitCounter": "profilers.runtimes._runtime",
    "UnsupportedOperationError": "profilers.errors",
    "UntimedError": "profilers.errors",
    "Workload": "profilers.runtimes._runtime",
    "WithPreprocessing": "profilers.lowering.borders",
    "WithSoftmax": "profilers.lowering.borders",
    "WrongOutputError": "profilers.errors",
    "distinct_statistics": "profilers.lowering.batch_norm",
    "fill_table": "profilers.filling",
    "formats": "profilers.formats",
    "ignore_progress": "profilers.progress.report",
    "keep_executed": "profilers.filling",
    "kept_graph": "profilers.runtimes._kept",
    "lacking": "profilers.filling",
    "look_around": "profilers.doctor",
    "look_at": "profilers.doctor",
    "namesakes": "profilers.doctor",
    "measure": "profilers.filling",
    "nhwc_shape": "profilers._layout",
    "parts_of": "profilers.parts",
    "plan_at": "profilers.filling",
    "plan_for": "profilers.profiler",
    "runtimes": "profilers.runtimes",
    "tried": "profilers.trial",
    "twins": "profilers.doctor",
}

if not TYPE_CHECKING:  # else a name that is not public would pass for one
    __getattr__, __dir__ = lazy(__name__, _HOMES)
