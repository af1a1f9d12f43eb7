"""A file format whose files name what happens to the process that reads them."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from devices import DeviceError
from profilers import FileFormat, ProfilingError, Workload
from profilers.formats import Array, Images, InputDtype


class Crashing(FileFormat):
    """Reads by doing what the file says."""

    suffix = ".crash"
    layout = "NCHW"
    runtime = "fake"
    packages = ()

    def lower(
        self,
        module: nn.Module,
        input_shapes: Sequence[tuple[int, ...]],
        *,
        input_dtype: InputDtype = "float32",
        is_batch_dynamic: bool = False,
    ) -> bytes:
        return b""

    def run(self, content: bytes, images: Images, *, batch: int = 1) -> Array:
        return images.astype(np.float32)

    def workload(self, path: Path) -> Workload:
        word = path.read_text()
        if word == "sleep":
            time.sleep(60)
        if word == "exit":
            os._exit(3)
        if word == "memory":
            bytearray(1 << 40)
        if word == "bug":
            raise AttributeError("first\nsecond")
        if word == "device":
            raise DeviceError("nothing here runs it")
        os.kill(os.getpid(), getattr(signal, word))
        raise ProfilingError("it goes on")
