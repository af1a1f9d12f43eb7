"""Stands in for ONNX Runtime on a board: what a model's bytes say happens.

``load`` and ``run`` crash, ``exit`` ends the process, ``hang`` never ends, ``fail`` raises, ``refused`` is
not loaded. Anything else computes its first input.
"""

import ctypes
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

__version__ = "1.0.stand-in"

GraphOptimizationLevel = SimpleNamespace(ORT_DISABLE_ALL=0, ORT_ENABLE_ALL=99)
capi = SimpleNamespace(onnxruntime_pybind11_state=SimpleNamespace())


class SessionOptions:
    """Takes every option."""

    def add_session_config_entry(self, name: str, value: str) -> None:
        setattr(self, name, value)


class InferenceSession:
    def __init__(self, content: bytes, options: object, providers: list[str]) -> None:
        self._do = content.decode(errors="replace")
        self._bound: list[Any] = []
        if self._do == "load":
            _crash()
        if self._do == "refused":
            raise RuntimeError("no such operation\nand more that nobody wants to know")

    def io_binding(self) -> "InferenceSession":
        return self

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="input")]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="output")]

    def bind_cpu_input(self, name: str, values: Any) -> None:
        self._bound.append(values)

    def bind_output(self, name: str) -> None:
        self.calls = 0

    def copy_outputs_to_cpu(self) -> list[Any]:
        return self._bound[:1]

    def run_with_iobinding(self, binding: object) -> None:
        self.calls += 1
        if self.calls == 1:  # when it was loaded
            return
        if self._do == "run":
            _crash()
        if self._do == "exit":
            print("out of order", file=sys.stderr, flush=True)
            os._exit(7)
        if self._do == "hang":
            time.sleep(3600)
        if self._do == "fail":
            raise RuntimeError("it failed")


def _crash() -> None:
    ctypes.string_at(0)
