"""Arithmetic: in which numbers a device computes, and what torch's back ends may choose by themselves."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from cars_hw.weights.training_plan import Precision

_HALVES: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Arithmetic:
    """How a device computes.

    Attributes:
        device: Which computes.
        precision: In which numbers; TF32 is of CUDA alone, elsewhere it is float32.
        deterministic: Whether, on CUDA, only algorithms are used that give the same bits each time.
    """

    device: torch.device
    precision: Precision
    deterministic: bool = False

    @property
    def is_half(self) -> bool:
        """Whether numbers have 16 bits where that is safe."""
        return self.precision in _HALVES

    @property
    def is_scaled(self) -> bool:
        """Whether gradients are so small in these numbers that the loss has to be scaled."""
        return self.precision == "float16"

    def numbers(self) -> AbstractContextManager[None]:
        """Compute in these numbers until left: operations that are safe in 16 bits, the others in float32."""
        dtype = _HALVES.get(self.precision)
        if dtype is None:
            return nullcontext()
        # No cache of converted weights: a graph that is recorded must convert them itself each time.
        return torch.autocast(self.device.type, dtype, cache_enabled=False)

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Let torch's back ends for CUDA do what this says until left; on other devices, change nothing.

        Algorithms for convolutions are timed and the fastest kept, unless they have to be deterministic.
        """
        if self.device.type != "cuda":
            yield
            return
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        convolutions = cudnn.conv  # type: ignore[attr-defined]  # torch puts an object in the module's place
        before = (
            cudnn.deterministic,
            cudnn.benchmark,
            convolutions.fp32_precision,
            matmul.fp32_precision,
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        numbers = "ieee" if self.precision == "float32" else "tf32"
        cudnn.deterministic, cudnn.benchmark = self.deterministic, not self.deterministic
        convolutions.fp32_precision = matmul.fp32_precision = numbers
        if self.deterministic:
            # What cuBLAS asks for; it reads this when it first multiplies.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        try:
            yield
        finally:
            cudnn.deterministic, cudnn.benchmark = before[:2]
            convolutions.fp32_precision, matmul.fp32_precision = before[2:4]
            torch.use_deterministic_algorithms(before[4], warn_only=before[5])
