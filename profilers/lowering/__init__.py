"""From a torch module to the file that a runtime executes; used to measure and to export."""

from typing import TYPE_CHECKING

from devices.foundation import lazy

if TYPE_CHECKING:
    from profilers.lowering import onnx, tflite

__all__ = ["onnx", "tflite"]

__getattr__, __dir__ = lazy(
    __name__, {"onnx": "profilers.lowering.onnx", "tflite": "profilers.lowering.tflite"}
)
