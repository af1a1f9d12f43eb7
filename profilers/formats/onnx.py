"""ONNX: one file, images in (n, c, h, w)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from profilers.formats._batches import Array, Images, in_batches
from profilers.formats._format import FileFormat, InputDtype
from profilers.lowering.description import Description
from profilers.runtimes._runtime import Workload

if TYPE_CHECKING:
    from torch import nn


class Onnx(FileFormat):
    """ONNX files, run by ONNX Runtime."""

    suffix = ".onnx"
    layout = "NCHW"
    runtime = "onnxruntime"
    packages = ("onnx", "onnxruntime")
    has_fp16 = True

    def lower(
        self,
        module: nn.Module,
        input_shapes: Sequence[tuple[int, ...]],
        *,
        input_dtype: InputDtype = "float32",
        is_batch_dynamic: bool = False,
    ) -> bytes:
        from profilers.lowering.onnx import lower

        return lower(module, input_shapes, input_dtype=input_dtype, is_batch_dynamic=is_batch_dynamic)

    def run(self, content: bytes, images: Images, *, batch: int = 1) -> Array:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        size = given.shape[0] if isinstance(given.shape[0], int) else batch

        def outputs(images: Images) -> Array:
            computed: Array = session.run(None, {given.name: images})[0]
            return computed

        return in_batches(images, size, outputs)

    def embed(self, content: bytes, description: Description) -> bytes:
        from profilers.lowering.onnx_rewriting import embed

        return embed(content, description)

    def embedded(self, content: bytes) -> Mapping[str, JsonValue] | None:
        from profilers.lowering.onnx_rewriting import embedded

        return embedded(content)

    def halve(self, content: bytes) -> bytes:
        from profilers.lowering.onnx_rewriting import halved

        return halved(content)

    def workload(self, path: Path) -> Workload:
        from profilers.runtimes._onnxruntime.file import onnx_workload

        return onnx_workload(path)
