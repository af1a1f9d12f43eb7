"""TFLite on the processors of this machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from devices import HostDevice
from latency_tables import Conditions, OpSpec, is_unit
from profilers._layout import nchw, nchw_shape, nhwc
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._host import mean_of_block, require_inputs
from profilers.runtimes._reference import (
    Array,
    Values,
    as_float32,
    check_outputs,
    made_up_inputs,
)
from profilers.runtimes._tflite.interpreter import TfLiteModel


@contextmanager
def prepared(
    content: bytes,
    spec: OpSpec,
    device: HostDevice,
    *,
    reference: Array | None,
    threads: int = 1,
    uses_xnnpack: bool = True,
) -> Iterator["HostModel"]:
    """Load a model, run it once, and compare its output with ``reference``.

    Args:
        content: A .tflite file.
        spec: Gives the shapes of its inputs, NCHW; the model itself takes NHWC.
        device: Whose clock times it.
        reference: What torch computes; ``None`` for a file from somewhere else.
        threads: Threads of one call.
        uses_xnnpack: Whether the XNNPACK delegate runs what it can.

    Raises:
        ProfilingError: It does not run, takes other inputs than ``spec`` says, or its output is wrong.
        DeviceError: Nothing here runs TFLite.
    """
    model = TfLiteModel(content, threads=threads, uses_xnnpack=uses_xnnpack)
    _require_inputs(spec, model)
    try:
        model.allocate()
    except ProfilingError as error:
        raise UnsupportedOperationError(f"TFLite does not load {spec}: {error}") from error
    model.set_inputs(model_inputs(spec))
    loaded = HostModel(model, spec, device)
    check_outputs(spec, loaded.outputs(), reference)
    yield loaded


class HostModel:
    """A model with its inputs in place, which calls leave as they are: the ``Sampler`` of TFLite here."""

    def __init__(self, model: TfLiteModel, spec: OpSpec, device: HostDevice) -> None:
        self._model, self._spec, self._device = model, spec, device
        self._coverage = model.coverage()

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls as one block; return their mean."""
        return mean_of_block(self._run, n, self._device)

    def facts(self) -> Conditions:
        """Return how many operations the model has, and how many of them no delegate runs."""
        return self._coverage.facts()

    def outputs(self) -> list[Array]:
        """Run one call and return its outputs as float32, images as (n, c, h, w)."""
        self._run(1)
        return [as_float32(nchw(output)) for output in self._model.outputs()]

    def _run(self, n: int) -> None:
        try:
            self._model.run(n)
        except ProfilingError as error:
            raise ProfilingError(f"TFLite failed on {self._spec}: {error}") from error


def _require_inputs(spec: OpSpec, model: TfLiteModel) -> None:
    shapes = model.input_shapes if is_unit(spec) else map(nchw_shape, model.input_shapes)
    require_inputs(spec, list(zip(model.input_types, shapes, strict=True)))


def model_inputs(spec: OpSpec) -> list[Values]:
    """Return the inputs of ``spec``, images as (n, h, w, c): so the keys of units say their shapes."""
    return [values if is_unit(spec) else nhwc(values) for values in made_up_inputs(spec)]
