"""TFLite: one file, images in (n, h, w, c)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from profilers._layout import nhwc
from profilers.errors import ExportError
from profilers.formats._format import Array, FileFormat, Images, InputDtype
from profilers.runtimes._runtime import Workload

if TYPE_CHECKING:
    from torch import nn


class TfLite(FileFormat):
    """TFLite files, run by LiteRT."""

    suffix = ".tflite"
    layout = "NHWC"
    runtime = "tflite"
    packages = ("ai-edge-litert",)
    has_int8 = True
    int8_packages = ("ai-edge-quantizer",)

    def lower(
        self,
        module: nn.Module,
        input_shapes: Sequence[tuple[int, ...]],
        *,
        input_dtype: InputDtype = "float32",
        is_batch_dynamic: bool = False,
    ) -> bytes:
        if input_dtype != "float32" or is_batch_dynamic:
            raise ExportError("only float32 and a fixed batch so far")
        from profilers.lowering.tflite import lower

        return lower(module, input_shapes)

    def run(self, content: bytes, images: Images, *, batch: int = 1) -> Array:
        from profilers.runtimes._tflite.interpreter import TfLiteModel

        model = TfLiteModel(content)
        model.allocate()
        logits = []
        for image in images[:, None]:
            model.set_inputs([nhwc(image)])
            model.run()
            logits += model.outputs()
        return np.concatenate(logits).astype(np.float32)

    def workload(self, path: Path) -> Workload:
        from profilers.runtimes._tflite.file import tflite_workload

        return tflite_workload(path)

    def quantize(self, content: bytes, range_images: Array) -> bytes:
        from profilers.lowering.int8 import quantize

        return quantize(content, range_images)
