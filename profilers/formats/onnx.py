"""ONNX: one file, images in (n, c, h, w)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from profilers.formats._format import Array, FileFormat
from profilers.runtimes._runtime import Workload

if TYPE_CHECKING:
    from torch import nn


class Onnx(FileFormat):
    """ONNX files, run by ONNX Runtime."""

    suffix = ".onnx"
    layout = "NCHW"
    runtime = "onnxruntime"
    packages = ("onnx", "onnxruntime")

    def lower(self, module: nn.Module, input_shapes: Sequence[tuple[int, ...]]) -> bytes:
        from profilers.lowering.onnx import lower

        return lower(module, input_shapes)

    def run(self, content: bytes, images: Array) -> Array:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {name: image})[0] for image in images[:, None]])

    def workload(self, path: Path) -> Workload:
        from profilers.runtimes._onnxruntime.file import onnx_workload

        return onnx_workload(path)
