"""TFLite on the processors of a board."""

from collections.abc import Mapping, Sequence

from devices import DeviceError
from latency_tables import Conditions, OpSpec
from profilers._layout import nchw
from profilers.errors import GarbledOutputError
from profilers.runtimes._on_board import Execution, Loaded
from profilers.runtimes._reference import Array, Values, as_float32, check_outputs
from profilers.runtimes._tflite.host import model_inputs
from profilers.runtimes._tflite.nodes import coverage
from profilers.runtimes._tflite.settings import TfLiteSettings


class TfLiteExecution(Execution):
    """TFLite as the program on a board executes it.

    Args:
        threads: Threads of one call.
        settings: Of the runtime; no delegate of phones.

    Raises:
        DeviceError: There is one.
    """

    name = "tflite"
    packages = ("numpy", "ai-edge-litert")

    def __init__(self, threads: int, settings: TfLiteSettings) -> None:
        if settings.is_accelerated:
            raise DeviceError(f"delegate {settings.delegate} is not for boards; use cpu there")
        self._threads, self._settings = threads, settings

    @property
    def options(self) -> Mapping[str, object]:
        """Return the threads, and whether XNNPACK runs what it can."""
        return {"threads": self._threads, "xnnpack": self._settings.xnnpack}

    def inputs(self, spec: OpSpec) -> Sequence[Values]:
        """Return random inputs, images as (n, h, w, c)."""
        return model_inputs(spec)

    def checked(self, spec: OpSpec, loaded: Loaded, reference: Array | None) -> Conditions:
        """Return how many operations the model has, and how many of them no delegate runs."""
        check_outputs(spec, [as_float32(nchw(output)) for output in loaded.outputs], reference)
        try:
            return coverage(loaded.nodes).facts()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise GarbledOutputError("the board lists operations that are none") from error
