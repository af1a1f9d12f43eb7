"""The settings of ONNX Runtime."""

import re
from typing import Literal

from pydantic import field_validator

from devices.foundation import Settings, added

_NAME = re.compile(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,3}")

#: They are in the builds of ONNX Runtime for phones.
OF_PHONES = ("xnnpack", "nnapi", "qnn")


class OnnxRuntimeSettings(Settings):
    """How ONNX Runtime executes models.

    Attributes:
        provider: What executes the model, all of it: ``"cpu"``; on a phone also ``"xnnpack"``, ``"nnapi"``,
            ``"qnn"``; on a graphics card ``"webgpu"``, ``"cuda"``, ``"tensorrt-rtx"``, or another one whose
            plug-in ``onnxruntime-ep-NAME`` is installed, or that the installed ONNX Runtime has.
        benchmark_binary: Path of the ``onnxruntime_perf_test`` that is brought to a phone; empty: from the
            environment or the cache folder.
        batch: Images of one call; a latency is that of the call.
        mode: On a graphics card, whether calls follow each other (``"warm"``), or each finds the card's cache
            filled with something else, and is waited for (``"cold"``).
    """

    provider: str = "cpu"
    benchmark_binary: str = ""
    batch: int = added(1, before=1, ge=1, le=1024)
    mode: Literal["warm", "cold"] = added("warm", before="warm")

    @field_validator("provider")
    @classmethod
    def _require_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("it should be a name such as cpu, webgpu or tensorrt-rtx")
        return name
