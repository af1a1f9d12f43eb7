"""ONNX: one file, images in (n, c, h, w)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from profilers.errors import ExportError
from profilers.formats._format import Array, FileFormat, Images, InputDtype
from profilers.runtimes._runtime import Workload

if TYPE_CHECKING:
    from torch import nn


class Onnx(FileFormat):
    """ONNX files, run by ONNX Runtime."""

    suffix = ".onnx"
    layout = "NCHW"
    runtime = "onnxruntime"
    packages = ("onnx", "onnxruntime")

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
        from profilers.lowering.onnx import lower

        return lower(module, input_shapes)

    def run(self, content: bytes, images: Images, *, batch: int = 1) -> Array:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {name: image})[0] for image in images[:, None]])

    def workload(self, path: Path) -> Workload:
        from profilers.runtimes._onnxruntime.file import onnx_workload

        return onnx_workload(path)
