"""From a torch module to ONNX: the one lowering, for measuring and for exporting."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import onnx
import torch
from torch import nn

from devices.foundation import first_line
from profilers.errors import UnsupportedOperationError
from profilers.lowering._evaluation import evaluating

#: Every ONNX Runtime since 1.12 (2022) reads it; opset 18 gives the same optimised graphs.
OPSET = 17

INPUT_NAME, OUTPUT_NAME = "input", "output"


def lower(
    module: nn.Module,
    input_shapes: Sequence[tuple[int, ...]],
    *,
    input_dtype: Literal["float32", "uint8"] = "float32",
    is_batch_dynamic: bool = False,
    is_folded: bool = True,
) -> bytes:
    """Return ``module`` in evaluation mode as a checked ONNX model; equal modules give equal bytes.

    Constants are folded, and so is a batch normalisation into the convolution before it, unless all that the
    module has learnt is to keep its names. The inputs are called "input", "input_1" and so on, the output
    "output".

    Args:
        module: Takes tensors of ``input_shapes`` and returns one tensor. Its mode is the same afterwards.
        input_shapes: Shape of each input, with the batch first.
        input_dtype: Of each input.
        is_batch_dynamic: Whether the model takes any number of images at once, a size that it calls "batch".
        is_folded: Whether constants and batch normalisations are; else what is learnt keeps its names.

    Raises:
        UnsupportedOperationError: An operation of the module has no form in ONNX.
    """
    names = [INPUT_NAME if i == 0 else f"{INPUT_NAME}_{i}" for i in range(len(input_shapes))]
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    dtype = {"float32": torch.float32, "uint8": torch.uint8}[input_dtype]
    inputs = tuple(torch.zeros(shape, dtype=dtype, device=device) for shape in input_shapes)
    free = {name: {0: "batch"} for name in (*names, OUTPUT_NAME)} if is_batch_dynamic else None
    file, mode = io.BytesIO(), torch.onnx.TrainingMode
    with evaluating(module), _legacy_exporter_allowed():
        try:
            torch.onnx.export(
                module,
                inputs,
                file,  # type: ignore[arg-type]  # dynamo=False takes file objects, the annotation omits them
                dynamo=False,  # many times faster; ONNX Runtime optimises both to the same graph
                training=mode.EVAL if is_folded else mode.PRESERVE,
                do_constant_folding=is_folded,
                opset_version=OPSET,
                input_names=names,
                output_names=[OUTPUT_NAME],
                dynamic_axes=free,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = first_line(error)
            raise UnsupportedOperationError(
                f"{type(module).__name__} has no form in ONNX: {reason}"
            ) from error
    onnx.checker.check_model(file.getvalue())
    return file.getvalue()


@contextmanager
def _legacy_exporter_allowed() -> Iterator[None]:
    """Silence the deprecation of ``dynamo=False``, which no other file uses."""
    message = "You are using the legacy TorchScript-based ONNX export|The feature will be removed"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        yield
