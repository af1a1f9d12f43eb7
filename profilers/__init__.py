"""How to measure.

The names below are loaded when they are first used: importing this package loads no runtime.
"""

from typing import TYPE_CHECKING

from devices.foundation import lazy

if TYPE_CHECKING:
    from profilers import lowering, runtimes
    from profilers._layout import nhwc, nhwc_shape
    from profilers.doctor import Finding, look_around, look_at, twins
    from profilers.errors import (
        ExportError,
        FellBackError,
        GarbledOutputError,
        ProfilingError,
        ThrottledError,
        UnsupportedOperationError,
        WrongOutputError,
    )
    from profilers.filling import Filled, OnRound, Setup, fill_table, ignore_rounds, measure
    from profilers.fleet import Fleet
    from profilers.lowering.int8 import quantize
    from profilers.parts import parts_of
    from profilers.plan import USUAL, MeasurementPlan, Quality, SentinelPlan
    from profilers.profiler import Profiler, plan_for
    from profilers.runtimes._onnxruntime.file import onnx_workload
    from profilers.runtimes._runtime import Runtime, Workload
    from profilers.runtimes._tflite.file import tflite_workload
    from profilers.runtimes._tflite.interpreter import TfLiteModel

__all__ = [
    "USUAL",
    "ExportError",
    "FellBackError",
    "Filled",
    "Finding",
    "Fleet",
    "GarbledOutputError",
    "MeasurementPlan",
    "OnRound",
    "Profiler",
    "ProfilingError",
    "Quality",
    "Runtime",
    "SentinelPlan",
    "Setup",
    "TfLiteModel",
    "ThrottledError",
    "UnsupportedOperationError",
    "Workload",
    "WrongOutputError",
    "fill_table",
    "ignore_rounds",
    "look_around",
    "look_at",
    "lowering",
    "measure",
    "nhwc",
    "nhwc_shape",
    "onnx_workload",
    "parts_of",
    "plan_for",
    "quantize",
    "runtimes",
    "tflite_workload",
    "twins",
]

_HOMES = {
    "measure": "profilers.filling",
    "ignore_rounds": "profilers.filling",
    "fill_table": "profilers.filling",
    "Setup": "profilers.filling",
    "OnRound": "profilers.filling",
    "Filled": "profilers.filling",
    "twins": "profilers.doctor",
    "look_at": "profilers.doctor",
    "look_around": "profilers.doctor",
    "Finding": "profilers.doctor",
    "ExportError": "profilers.errors",
    "FellBackError": "profilers.errors",
    "Fleet": "profilers.fleet",
    "GarbledOutputError": "profilers.errors",
    "MeasurementPlan": "profilers.plan",
    "Profiler": "profilers.profiler",
    "ProfilingError": "profilers.errors",
    "Quality": "profilers.plan",
    "Runtime": "profilers.runtimes._runtime",
    "SentinelPlan": "profilers.plan",
    "TfLiteModel": "profilers.runtimes._tflite.interpreter",
    "ThrottledError": "profilers.errors",
    "USUAL": "profilers.plan",
    "UnsupportedOperationError": "profilers.errors",
    "Workload": "profilers.runtimes._runtime",
    "WrongOutputError": "profilers.errors",
    "lowering": "profilers.lowering",
    "nhwc": "profilers._layout",
    "nhwc_shape": "profilers._layout",
    "onnx_workload": "profilers.runtimes._onnxruntime.file",
    "parts_of": "profilers.parts",
    "plan_for": "profilers.profiler",
    "quantize": "profilers.lowering.int8",
    "runtimes": "profilers.runtimes",
    "tflite_workload": "profilers.runtimes._tflite.file",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
