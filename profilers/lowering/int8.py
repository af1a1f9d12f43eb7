"""From a float TFLite model to one of 8-bit integers, whose ranges are those of sample images."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import numpy as np
from numpy.typing import NDArray

from devices.foundation import first_line
from profilers._layout import nhwc
from profilers.errors import ExportError, UnsupportedOperationError
from profilers.lowering._tflite.flatbuffer import INPUT_NAME, SIGNATURE
from profilers.lowering._tflite.spelling import spelled_out_file


def quantize(model: bytes, range_images: NDArray[np.float32]) -> bytes:
    """Return ``model`` with 8-bit weights and activations; its input and output stay float32.

    Weights have a scale per output channel. The range of each activation is that which
    ``range_images`` give it. A hard-swish is computed by the operations that XNNPACK has in 8 bits; a GELU
    has none there, and runs outside of XNNPACK.

    Args:
        model: As ``lowering.tflite`` writes it, with one input.
        range_images: Like those that the model will see: (n, c, h, w), in float.

    Raises:
        ExportError: The quantizer is not installed.
        UnsupportedOperationError: It does not take the model.
    """
    try:
        from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
        from ai_edge_quantizer.utils import qsv_utils
    except ModuleNotFoundError as error:
        raise ExportError(
            "8-bit integers need ai-edge-quantizer; install it: pip install 'cars-hw[int8]'"
        ) from error
    operations = qtyping.TFLOperationName
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(".*", operations.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for border in (operations.INPUT, operations.OUTPUT):
        recipe.add_quantization_config(".*", border, algorithm_key="no_quantize")
    samples = [{INPUT_NAME: nhwc(image[None])} for image in range_images]
    model = spelled_out_file(model)
    with _quiet():
        try:
            # The default is a moving average of each image's range, which cuts off the largest values.
            ranges = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
            ranges.calibrate({SIGNATURE: samples}, recipe)
            work = quantizer.Quantizer(model, recipe.get_quantization_recipe())
            return bytes(work.quantize(ranges.get_model_qsvs()).quantized_model)
        except (ValueError, RuntimeError, RuntimeWarning) as error:
            reason = first_line(error)
            raise UnsupportedOperationError(f"the model has no form in 8-bit integers: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the quantizer prints off the terminal: standard output may be read as JSON."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", message="Warning: Enabling `experimental_preserve_all_tensors`")
        # A bias beyond 32 bits, which would change its sign: of weights or activations that are all zero.
        warnings.filterwarnings("error", message="invalid value encountered in cast")
        yield
