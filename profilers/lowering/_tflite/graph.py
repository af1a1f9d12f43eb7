"""A TFLite graph in the making: tensors in TFLite's layout, and operations in the order of execution."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Constant = NDArray[np.float32] | NDArray[np.int32]

#: ``x * scale + shift`` along the last axis: not an operation of TFLite. It is folded into the operation
#: before it where that has weights, and becomes a MUL and an ADD elsewhere.
SCALE_SHIFT = "SCALE_SHIFT"

ACTIVATION = "fusedActivationFunction"


class Padding(IntEnum):
    """Zeros around an image, by the numbers of TFLite's schema."""

    SAME = 0
    VALID = 1


class Activation(IntEnum):
    """What an operation applies to its result, by the numbers of TFLite's schema."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5


@dataclass
class Operation:
    """One operation.

    Attributes:
        code: Its name in TFLite's schema.
        inputs: Tensors that it reads, in the order of the schema.
        output: The tensor that it writes.
        options: By the names of the schema.
    """

    code: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, int | bool]


@dataclass
class Graph:
    """Operations on numbered tensors.

    Attributes:
        shapes: The shape of each tensor.
        constants: What is known of tensors before anything runs.
        operations: In the order of execution.
        inputs: Tensors given from outside.
        output: The tensor that is the result.
        pixels: Inputs of 8-bit unsigned integers; all else that is no constant is in float.
        is_batch_free: Whether the first axis of all that is no constant may have any size.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    constants: dict[int, Constant] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    output: int = -1
    pixels: set[int] = field(default_factory=set)
    is_batch_free: bool = False
    _known: dict[bytes, int] = field(default_factory=dict, repr=False)

    def add_tensor(self, shape: tuple[int, ...]) -> int:
        """Add a tensor that an operation will write."""
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def add_input(self, shape: tuple[int, ...], *, of_pixels: bool = False) -> int:
        """Add a tensor that is given from outside, in float or as 8-bit unsigned integers."""
        self.inputs.append(self.add_tensor(shape))
        if of_pixels:
            self.pixels.add(self.inputs[-1])
        return self.inputs[-1]

    def constant(self, values: Constant) -> int:
        """Return the tensor that holds ``values``: equal values, equal tensor."""
        values = values.copy(order="C")
        key = hashlib.sha256(f"{values.dtype}{values.shape}".encode() + values.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self.add_tensor(values.shape)
            self.constants[self._known[key]] = values
        return self._known[key]

    def add(
        self,
        code: str,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        options: Mapping[str, int | bool] | None = None,
    ) -> int:
        """Add an operation whose result has ``shape``; return the tensor of its result."""
        output = self.add_tensor(shape)
        self.operations.append(Operation(code, inputs, output, dict(options or {})))
        return output

    def readers(self) -> Counter[int]:
        """Count how often each tensor is read; being the result of the graph counts as well."""
        read = Counter(tensor for operation in self.operations for tensor in operation.inputs)
        read[self.output] += 1
        return read

    def producers(self) -> dict[int, Operation]:
        """Return the operation that writes each tensor."""
        return {operation.output: operation for operation in self.operations}
