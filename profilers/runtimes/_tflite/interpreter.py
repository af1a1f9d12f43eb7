"""A TFLite model loaded on this machine, by ai-edge-litert or by the older tflite_runtime."""

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices import DeviceError
from devices.foundation import first_line
from profilers.errors import ProfilingError
from profilers.runtimes._coverage import Coverage
from profilers.runtimes._tflite.nodes import coverage, nodes_outside

Values = NDArray[np.generic]

#: Both have the same interface; the first one is faster and maintained.
_PACKAGES = ("ai_edge_litert", "tflite_runtime")


class TfLiteModel:
    """A model in memory; it runs after ``allocate``.

    Args:
        content: A .tflite file.
        threads: Threads of one call.
        uses_xnnpack: Whether the XNNPACK delegate runs what it can; TFLite's own kernels run the rest.

    Raises:
        DeviceError: No package that runs TFLite works here.
        ProfilingError: It is no TFLite model.
    """

    def __init__(self, content: bytes, *, threads: int = 1, uses_xnnpack: bool = True) -> None:
        _, module = _package()
        kinds = module.OpResolverType
        kind = kinds.AUTO if uses_xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = module.Interpreter(
                model_content=content, num_threads=threads, experimental_op_resolver_type=kind
            )
        except ValueError as error:
            raise ProfilingError(f"no TFLite model, or a damaged one: {first_line(error)}") from error
        except AttributeError as error:  # its extension was built for another numpy
            raise DeviceError(
                f"{module.__name__.partition('.')[0]} does not work with numpy {np.__version__}; "
                "install ai-edge-litert, or numpy < 2"
            ) from error
        with _readable_names():
            self._inputs = self._interpreter.get_input_details()

    def __repr__(self) -> str:
        shapes = zip(self.input_types, self.input_shapes, strict=True)
        inputs = ", ".join(f"{kind} {'x'.join(map(str, shape))}" for kind, shape in shapes)
        return f"<TFLite model of {inputs}>"

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shape of each input in TFLite's order: images are (n, h, w, c)."""
        return [tuple(map(int, tensor["shape"])) for tensor in self._inputs]

    @property
    def input_types(self) -> list[str]:
        """Type of the numbers of each input: ``"float32"``."""
        return [np.dtype(tensor["dtype"]).name for tensor in self._inputs]

    @property
    def is_batch_dynamic(self) -> bool:
        """Whether the first axis of its inputs may have any size."""
        return all(len(t["shape_signature"]) and t["shape_signature"][0] == -1 for t in self._inputs)

    def set_batch(self, n: int) -> None:
        """Take ``n`` images at once from the next ``allocate`` on.

        Raises:
            ProfilingError: The file does not leave their number open.
        """
        try:
            for tensor, shape in zip(self._inputs, self.input_shapes, strict=True):
                self._interpreter.resize_tensor_input(tensor["index"], (n, *shape[1:]), strict=True)
        except RuntimeError as error:
            raise ProfilingError(first_line(error)) from error
        self._inputs = self._interpreter.get_input_details()

    def declared_bytes(self) -> int:
        """Return how much memory the tensors take, as the file says."""
        with _readable_names():
            tensors = self._interpreter.get_tensor_details()
        return sum(
            math.prod(abs(int(n)) for n in tensor["shape"]) * np.dtype(tensor["dtype"]).itemsize
            for tensor in tensors
        )

    def allocate(self) -> None:
        """Make ready to run.

        Raises:
            ProfilingError: An operation is unknown, or its inputs do not fit it.
        """
        try:
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ProfilingError(first_line(error)) from error

    def set_inputs(self, inputs: Sequence[Values]) -> None:
        """Set the inputs of all calls from now on, in the model's order; images are (n, h, w, c)."""
        for tensor, values in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(tensor["index"], values)

    def run(self, n: int = 1) -> None:
        """Run ``n`` calls.

        Raises:
            ProfilingError: An operation failed.
        """
        invoke = self._interpreter.invoke
        try:
            for _ in range(n):
                invoke()
        except RuntimeError as error:
            raise ProfilingError(first_line(error)) from error

    def outputs(self) -> list[Values]:
        """Return what the last call computed, in the model's order; images are (n, h, w, c)."""
        return [
            self._interpreter.get_tensor(tensor["index"]) for tensor in self._interpreter.get_output_details()
        ]

    def coverage(self) -> Coverage:
        """Return who runs the operations, once they are allocated."""
        return coverage(self._nodes())

    def nodes_outside(self) -> int:
        """Return how many operations no delegate runs, once they are allocated."""
        return nodes_outside(self._nodes())

    def _nodes(self) -> Sequence[Mapping[str, Any]]:
        with _readable_names():  # nothing public lists them
            nodes: Sequence[Mapping[str, Any]] = self._interpreter._get_ops_details()
        return nodes


@contextmanager
def _readable_names() -> Iterator[None]:
    """Turn what the package raises on names that are no text into an error of ours."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ProfilingError("no TFLite model, or a damaged one: it has names that are no UTF-8") from error


def version() -> str:
    """Return the package that runs TFLite here, and its version.

    Raises:
        DeviceError: There is none.
    """
    package, _ = _package()
    distribution = package.replace("_", "-")
    return f"{distribution} {metadata.version(distribution)}"


@cache
def _package() -> tuple[str, Any]:
    for package in _PACKAGES:
        try:
            return package, importlib.import_module(f"{package}.interpreter")
        except ModuleNotFoundError:
            continue
    raise DeviceError("nothing here runs TFLite; install it: pip install ai-edge-litert")
