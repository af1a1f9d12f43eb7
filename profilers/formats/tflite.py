"""TFLite: one file, images in (n, h, w, c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from profilers._layout import nhwc
from profilers.formats._batches import Array, Images, in_batches
from profilers.formats._format import FileFormat, InputDtype
from profilers.lowering.description import Description
from profilers.runtimes._runtime import Workload

if TYPE_CHECKING:
    from torch import nn


class TfLite(FileFormat):
    """TFLite files, run by LiteRT."""

    suffix = ".tflite"
    layout = "NHWC"
    runtime = "tflite"
    packages = ("ai-edge-litert",)
    has_fp16 = True
    has_int8 = True
    int8_packages = ("litert-quantizer", "ai-edge-quantizer")

    def lower(
        self,
        module: nn.Module,
        input_shapes: Sequence[tuple[int, ...]],
        *,
        input_dtype: InputDtype = "float32",
        is_batch_dynamic: bool = False,
    ) -> bytes:
        from profilers.lowering.tflite import lower

        return lower(module, input_shapes, input_dtype=input_dtype, is_batch_dynamic=is_batch_dynamic)

    def run(self, content: bytes, images: Images, *, batch: int = 1) -> Array:
        from profilers.runtimes._tflite.interpreter import TfLiteModel

        model = TfLiteModel(content)
        if model.is_batch_dynamic:
            model.set_batch(batch)
        model.allocate()

        def outputs(images: Images) -> Array:
            model.set_inputs([nhwc(images)])
            model.run()
            return model.outputs()[0].astype(np.float32)

        return in_batches(images, model.input_shapes[0][0], outputs)

    def embed(self, content: bytes, description: Description) -> bytes:
        from profilers.lowering._tflite.metadata import embed

        return embed(content, description)

    def embedded(self, content: bytes) -> Mapping[str, JsonValue] | None:
        from profilers.lowering._tflite.metadata import embedded

        return embedded(content)

    def halve(self, content: bytes) -> bytes:
        from profilers.lowering._tflite.halving import halved

        return halved(content)

    def workload(self, path: Path) -> Workload:
        from profilers.runtimes._tflite.file import tflite_workload

        return tflite_workload(path)

    def quantize(self, content: bytes, range_images: Images) -> bytes:
        from profilers.lowering.int8 import quantize

        return quantize(content, range_images)
