"""Arithmetic: in which numbers a device computes, and what torch's back ends may choose by themselves."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch

from cars_hw.weights.training_plan import Precision
from devices.foundation import ConfigError

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

        Raises:
            ConfigError: They have to be, and torch has none for an operation.
        """
        if self.device.type != "cuda":
            yield
            return
        with _restored_back_ends():
            cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
            cudnn.deterministic, cudnn.benchmark = self.deterministic, not self.deterministic
            numbers = "ieee" if self.precision == "float32" else "tf32"
            _convolutions().fp32_precision = matmul.fp32_precision = numbers
            if self.deterministic:
                # What cuBLAS asks for; it reads this when it first multiplies.
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
                torch.use_deterministic_algorithms(True)
            try:
                yield
            except RuntimeError as error:
                if not self.deterministic or "deterministic" not in str(error):
                    raise
                raise ConfigError(
                    f"training.deterministic is true, and torch says: {str(error).partition('. ')[0][:200]}; "
                    "leave it out, or search on a CPU"
                ) from error


@contextmanager
def _restored_back_ends() -> Iterator[None]:
    """Put everything that ``Arithmetic.chosen`` sets back to what it was."""
    cudnn, matmul, convolutions = torch.backends.cudnn, torch.backends.cuda.matmul, _convolutions()
    choice = cudnn.deterministic, cudnn.benchmark
    numbers = convolutions.fp32_precision, matmul.fp32_precision
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = choice
        convolutions.fp32_precision, matmul.fp32_precision = numbers
        torch.use_deterministic_algorithms(is_deterministic, warn_only=warns_only)


class _HasNumbers(Protocol):
    fp32_precision: str


def _convolutions() -> _HasNumbers:
    found: _HasNumbers = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # of an object in its place
    return found
