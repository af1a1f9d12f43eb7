"""A module made ready: in its layout and its numbers, on what computes it, and proven right."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.utils._python_dispatch import TorchDispatchMode

from devices.foundation import first_line
from latency_tables import OpSpec
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._reference import Array, check_outputs, input_shapes, torch_output
from profilers.runtimes._torch.settings import TorchSettings

_IMAGE_RANK = 4

#: As of all inputs that are made up.
_SEED = 0

_DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

#: Times the tolerances of float32. Seen on a processor: operations need up to 8 in float16 and 62 in
#: bfloat16, untrained networks of the size that is searched less. tf32 rounds nearly as float16 does.
_SLACK = {"float32": 1.0, "tf32": 50.0, "bfloat16": 200.0, "float16": 50.0}


class Model:
    """A module in evaluation mode with its inputs in place, which calls leave as they are.

    Making one computes it once and compares that with what torch computes in float32 on a processor.

    Args:
        spec: What it is.
        build: Makes the module.
        settings: How it is computed.
        device: By what.

    Attributes:
        launches: How many operators of torch one call executes that compute something.

    Raises:
        UnsupportedOperationError: torch does not compute it there.
        WrongOutputError: It computes something else.
        ProfilingError: There is too little memory.
    """

    def __init__(
        self, spec: OpSpec, build: Callable[[], nn.Module], settings: TorchSettings, device: torch.device
    ) -> None:
        self._spec = spec
        images = _inputs(spec, settings.batch)
        module = build().eval()
        with self._failing(UnsupportedOperationError), torch.inference_mode():
            reference = torch_output(module, images)
            self._module = _placed(module, settings, device)
            self._inputs = [_placed_image(image, settings, device) for image in images]
            with Launches() as counted:
                output = self._module(*self._inputs)
            self.launches = counted.n
            outputs: Sequence[Array] = [output.float().cpu().numpy()]
        check_outputs(spec, outputs, reference, slack=_SLACK[settings.dtype])

    def run(self, n: int) -> None:
        """Give torch ``n`` calls.

        Raises:
            ProfilingError: It does not do them.
        """
        module, inputs = self._module, self._inputs
        with self._failing(ProfilingError), torch.inference_mode():
            for _ in range(n):
                module(*inputs)

    @contextmanager
    def _failing(self, kind: type[ProfilingError]) -> Iterator[None]:
        """Turn what torch raises into errors of ours."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ProfilingError(
                f"{self._spec} takes more memory than there is; take a smaller batch"
            ) from error
        except RuntimeError as error:  # operators that lack a type raise nothing more telling
            raise kind(f"torch failed on {self._spec}: {first_line(error)}") from error


class Launches(TorchDispatchMode):
    """Counts the operators that are executed meanwhile, without those that only look at a tensor anew."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += not func.is_view
        return func(*args, **(kwargs or {}))


def _inputs(spec: OpSpec, batch: int) -> tuple[Array, ...]:
    """Return random inputs, each of ``batch`` images in place of one; as ``random_inputs`` where it is 1."""
    rng = np.random.default_rng(_SEED)
    shapes = [(batch * n, *others) for n, *others in input_shapes(spec)]
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def _placed(module: nn.Module, settings: TorchSettings, device: torch.device) -> nn.Module:
    placed = module.to(device=device, dtype=_DTYPES[settings.dtype])
    convert_conv2d_weight_memory_format(placed, _layout(settings))
    return placed


def _placed_image(image: Array, settings: TorchSettings, device: torch.device) -> Tensor:
    placed = torch.from_numpy(image).to(device=device, dtype=_DTYPES[settings.dtype])
    return placed.contiguous(memory_format=_layout(settings)) if placed.dim() == _IMAGE_RANK else placed


def _layout(settings: TorchSettings) -> torch.memory_format:
    return torch.channels_last if settings.layout == "channels_last" else torch.contiguous_format
