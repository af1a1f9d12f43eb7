"""Networks with the weights of a module, of operations that are lowered once for all networks."""

from dataclasses import replace

import numpy as np
import onnx
from onnx import numpy_helper
from torch import Tensor, nn

from latency_tables import IMAGE, OpSpec
from profilers.runtimes._onnxruntime.networks.stitching import (
    Operation,
    Place,
    lowered_operation,
    named_by_content,
    stitched,
)
from profilers.runtimes._reference import batched
from profilers.units.counter import ComposedModule, live_nodes


class ComposedNetworks:
    """Writes networks of the operations that it knows: a network takes torch's exporter a second.

    Batch normalisations stand there for themselves: ONNX Runtime folds them as the exporter does.
    """

    def __init__(self) -> None:
        self._operations: dict[OpSpec, Operation] = {}

    def model(self, module: object, batch: int = 1) -> bytes | None:
        """Return an ONNX model of what ``module`` computes, in evaluation mode, of so many images at once.

        Equal tensors are one, as in what torch exports.

        Returns:
            ``None`` where it cannot be made of its operations, and is to be exported as a whole: it does not
            tell them, one has learnt what its state does not name, or none reads the image.

        Raises:
            UnsupportedOperationError: An operation has no form in ONNX.
        """
        if not isinstance(module, ComposedModule):
            return None
        nodes, units = zip(*module.composed_of(), strict=True)
        live = [replace(node, spec=batched(node.spec, batch)) for node in live_nodes(nodes)]
        if all(IMAGE not in node.inputs for node in live):
            return None
        places, weights = list[Place](), list[onnx.TensorProto]()
        for node, unit in zip(live, units, strict=True):
            operation, state = self._operation(node.spec, unit), unit.state_dict()
            if not operation.weights.keys() <= state.keys():
                return None
            learnt = {name: named_by_content(_tensor(state[name])) for name in operation.weights}
            places.append(Place(node, operation, {name: tensor.name for name, tensor in learnt.items()}))
            weights += learnt.values()
        content = stitched(places, weights)
        onnx.checker.check_model(content)
        return content

    def _operation(self, spec: OpSpec, unit: nn.Module) -> Operation:
        if spec not in self._operations:
            self._operations[spec] = lowered_operation(spec, unit, is_folded=False)
        return self._operations[spec]


def _tensor(values: Tensor) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(values.detach().cpu().numpy()))
