"""The settings of ONNX Runtime."""

from typing import Literal

from devices.foundation import Settings


class OnnxRuntimeSettings(Settings):
    """How ONNX Runtime executes models.

    Attributes:
        provider: What executes the model: ``"cpu"``; on a phone also ``"xnnpack"``, ``"nnapi"``, ``"qnn"``,
            which must execute all of it.
        benchmark_binary: Path of the ``onnxruntime_perf_test`` that is brought to a phone; empty: from the
            environment or the cache folder.
    """

    provider: Literal["cpu", "xnnpack", "nnapi", "qnn"] = "cpu"
    benchmark_binary: str = ""
