"""From a float TFLite model to one of 8-bit integers, whose ranges are those of sample images."""

import importlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.foundation import first_line
from profilers._layout import nhwc
from profilers.errors import ExportError, UnsupportedOperationError
from profilers.lowering._tflite.flatbuffer import INPUT_NAME, SIGNATURE
from profilers.lowering._tflite.reading import batch_size, names_at_borders
from profilers.lowering._tflite.spelling import spelled_out_file

Images = NDArray[np.float32] | NDArray[np.uint8]

#: The quantizer, and the name that it had until 2026.
_PACKAGES = ("litert_quantizer", "ai_edge_quantizer")


def quantize(model: bytes, range_images: Images) -> bytes:
    """Return ``model`` with 8-bit weights and activations; its input and output stay as they are.

    Weights have a scale per output channel. The range of each activation is that which
    ``range_images`` give it. A hard-swish is computed by the operations that XNNPACK has in 8 bits; a GELU
    has none there, and runs outside of XNNPACK. What turns pixels into an image, and logits into
    probabilities, stays in float.

    Args:
        model: As ``lowering.tflite`` writes it, with one input.
        range_images: Like those that the model will see: (n, c, h, w), of the type that it takes.

    Raises:
        ExportError: The quantizer is not installed.
        UnsupportedOperationError: It does not take the model.
    """
    model = spelled_out_file(model)
    samples = list(_samples(range_images, batch_size(model)))
    with _quiet():
        calibrator, quantizer, qsv_utils = map(_part, ("calibrator", "quantizer", "utils.qsv_utils"))
        recipe = _recipe(names_at_borders(model))
        try:
            # The default is a moving average of each image's range, which cuts off the largest values.
            ranges = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
            ranges.calibrate({SIGNATURE: samples}, recipe)
            work = quantizer.Quantizer(model, recipe.get_quantization_recipe())
            return bytes(work.quantize(ranges.get_model_qsvs()).quantized_model)
        except (ValueError, RuntimeError, RuntimeWarning) as error:
            reason = first_line(error)
            raise UnsupportedOperationError(f"the model has no form in 8-bit integers: {reason}") from error


def _part(name: str) -> ModuleType:
    """Return a module of the quantizer, by whichever of its names is installed."""
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError:
            continue
        return importlib.import_module(f"{package}.{name}")
    raise ExportError("8-bit integers need litert-quantizer; install it: pip install 'cars-hw[int8]'")


def _recipe(names_in_float: frozenset[str]) -> Any:
    """Return what is computed in integers: all that can be, but for results of some names and the borders."""
    operations = _part("qtyping").TFLOperationName
    recipe = _part("recipe_manager").RecipeManager()
    recipe.add_static_config(".*", operations.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for border in (operations.INPUT, operations.OUTPUT):
        recipe.add_quantization_config(".*", border, algorithm_key="no_quantize")
    for name in sorted(names_in_float):
        scope = f"^{re.escape(name)};"
        recipe.add_quantization_config(scope, operations.ALL_SUPPORTED, algorithm_key="no_quantize")
    return recipe


def _samples(images: Images, size: int) -> Iterator[dict[str, Images]]:
    """Yield inputs of ``size`` images; the last one is repeated where some are missing."""
    for first in range(0, len(images), size):
        places = np.arange(first, first + size).clip(max=len(images) - 1)
        yield {INPUT_NAME: nhwc(images[places])}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the quantizer prints off the terminal: standard output may be read as JSON."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", message="Warning: Enabling `experimental_preserve_all_tensors`")
        # A bias beyond 32 bits, which would change its sign: of weights or activations that are all zero.
        warnings.filterwarnings("error", message="invalid value encountered in cast")
        yield
