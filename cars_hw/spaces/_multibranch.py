"""Chains of multi-branch layers, with the operations of NSE.

Ci et al., "Evolving Search Space for Neural Architecture Search", ICCV 2021, arXiv 2011.10904, and its
released code. A layer computes the mean of its branches, and of its input where that has the output's shape;
there, a layer without branches is no layer at all.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cars_hw.networks.graph import IMAGE, WEIGHTED_SUM, Graph, Node, SoftGraph
from cars_hw.spaces._nodes import NodeList, Tensor
from latency_tables import OpSpec


@dataclass(frozen=True)
class Operation:
    """What a branch computes, at any width and size.

    Attributes:
        name: The published name: "mb_k3_t6_d1".
        kind: Kind of the op spec.
        params: Parameters of the op spec, but for ``out`` and ``stride``.
    """

    name: str
    kind: str
    params: tuple[tuple[str, int], ...]


def _mbconv(
    kernel: int, expansion: int, *, dilation: int = 1, groups: tuple[int, int] = (1, 1), suffix: str = ""
) -> Operation:
    params = {
        "kernel": kernel,
        "expansion": expansion,
        "dilation": dilation,
        "expand_groups": groups[0],
        "project_groups": groups[1],
    }
    return Operation(f"mb_k{kernel}_t{expansion}{suffix}", "mbconv", tuple(params.items()))


def _full(kind: str, kernel: int, expansion: int, *, name: str) -> Operation:
    return Operation(f"{name}_t{expansion}", kind, (("kernel", kernel), ("expansion", expansion)))


_EXPANSIONS = (1, 3, 6)
_RECS = tuple(
    _full("rec", kernel, expansion, name=f"rec_k{kernel}") for kernel in (5, 7) for expansion in (1, 2, 4)
)
_27 = (
    *(_mbconv(3, t, dilation=d, suffix=f"_d{d}") for t in _EXPANSIONS for d in (1, 2, 3)),
    *(_mbconv(kernel, t) for kernel in (5, 7, 9, 11) for t in _EXPANSIONS),
    *_RECS,
)
_GROUPED = (
    _mbconv(kernel, t, groups=(expand, project), suffix=f"_g{expand}{project}")
    for kernel, t, (expand, project) in itertools.product(
        (3, 5, 7, 9, 11), _EXPANSIONS, ((1, 2), (2, 1), (2, 2))
    )
)
_19 = (
    *(_mbconv(kernel, t) for kernel in (3, 5, 7) for t in _EXPANSIONS),
    *(_full("normal_conv", 3, t, name="conv3") for t in (1, 2)),
    *(_full("dual_conv", 3, t, name="dual3") for t in (1, 2)),
    *_RECS,
)
#: The published sets in the published order, which the codes of networks go by.
OPERATIONS = {19: _19, 27: _27, 72: (*_27, *_GROUPED)}


@dataclass(frozen=True)
class Layer:
    """A layer of branches.

    Attributes:
        width: Channels of the output, as an index into a network's widths.
        stride: Stride of every branch.
        joins_input: Whether the output is of the input's shape; then the mean includes the input.
    """

    width: int
    stride: int
    joins_input: bool


@dataclass(frozen=True)
class Plan:
    """Everything about a family of networks that its widths and sizes do not decide.

    Attributes:
        operations: The operations that a branch may be.
        transitions: The way to each width but the first: "R" halves the image, "E" does not.
        repeats: Layers after each transition, before the next one; the first is for the first width.
    """

    operations: tuple[Operation, ...]
    transitions: str
    repeats: tuple[int, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        layers = []
        for width, (transition, n) in enumerate(zip(f"N{self.transitions}", self.repeats, strict=True)):
            if transition != "N":
                layers.append(Layer(width, 2 if transition == "R" else 1, joins_input=False))
            layers += [Layer(width, 1, joins_input=True)] * n
        return tuple(layers)

    def shortened(self, *, stages: int, depth: int) -> "Plan":
        """Return the plan with at most ``stages`` widths and ``depth`` repeats of each."""
        repeats = tuple(min(n, depth) for n in self.repeats[:stages])
        return Plan(self.operations, self.transitions[: len(repeats) - 1], repeats)


@dataclass(frozen=True)
class BranchNetwork:
    """Everything about a network that its branches do not decide.

    Attributes:
        plan: The layers.
        widths: Channels for each width of the plan, and of the last convolution.
        image_shape: (c, h, w) of the input.
        classes: Number of outputs.
        stem_stride: Stride of the first convolution.
    """

    plan: Plan
    widths: tuple[int, ...]
    image_shape: tuple[int, int, int]
    classes: int
    stem_stride: int

    def nodes(self, branches: Sequence[Sequence[int]]) -> tuple[Node, ...]:
        """Return the nodes in topological order.

        Args:
            branches: For each layer the indices of its operations, ascending; none only where it joins its
                input.
        """
        nodes = NodeList()
        tensor = self._stem(nodes)
        for i, (layer, chosen) in enumerate(zip(self.plan.layers, branches, strict=True)):
            terms = self._branches(nodes, i, layer, tensor, chosen)
            terms = [tensor, *terms] if layer.joins_input else terms
            tensor = nodes.add(f"layer{i}.mean", "mean", *terms) if len(terms) > 1 else terms[0]
        self._head(nodes, tensor)
        return tuple(nodes.nodes)

    def all_nodes(self, branches: Sequence[Sequence[int]], counts: Sequence[Sequence[int]]) -> Iterator[Node]:
        """Yield every node that a network has.

        Args:
            branches: For each layer the indices of the operations that it may have.
            counts: For each layer, how many it may have at once.
        """
        nodes = NodeList()
        tensor = self._stem(nodes)
        for i, (layer, possible) in enumerate(zip(self.plan.layers, branches, strict=True)):
            terms = self._branches(nodes, i, layer, tensor, possible)
            for n in counts[i]:
                joined = [tensor, *terms[:n]] if layer.joins_input else terms[:n]
                if len(joined) > 1:
                    nodes.add(f"layer{i}.mean", "mean", *joined)
            tensor = (terms or [tensor])[0]
        self._head(nodes, tensor)
        yield from nodes.nodes

    def soft_graph(self, weights: Sequence[Mapping[int, float]]) -> SoftGraph:
        """Return the network in which each layer mixes many branches.

        Args:
            weights: For each layer, the weight of each branch relative to that of the input.
        """
        nodes = NodeList()
        mixed: dict[str, tuple[float, ...]] = {}
        tensor = self._stem(nodes)
        for i, (layer, branches) in enumerate(zip(self.plan.layers, weights, strict=True)):
            terms = self._branches(nodes, i, layer, tensor, list(branches))
            terms = [tensor, *terms] if layer.joins_input else terms
            relative = [1.0] * layer.joins_input + list(branches.values())
            tensor = Tensor(f"layer{i}.mix", terms[0].shape)
            mixed[tensor.slot] = tuple(weight / sum(relative) for weight in relative)
            spec = OpSpec.of(WEIGHTED_SUM, tensor.shape, inputs=len(terms))
            nodes.nodes.append(Node(tensor.slot, spec, tuple(term.slot for term in terms)))
        self._head(nodes, tensor)
        return SoftGraph(Graph(tuple(nodes.nodes)), {}, mixed)

    def _stem(self, nodes: NodeList) -> Tensor:
        image = Tensor(IMAGE, (1, *self.image_shape))
        return nodes.add("stem", "conv_bn_relu", image, out=self.widths[0], kernel=3, stride=self.stem_stride)

    def _branches(
        self, nodes: NodeList, i: int, layer: Layer, tensor: Tensor, chosen: Sequence[int]
    ) -> list[Tensor]:
        operations = [self.plan.operations[index] for index in chosen]
        settings = {"out": self.widths[layer.width], "stride": layer.stride}
        return [
            nodes.add(
                f"layer{i}.{operation.name}", operation.kind, tensor, **settings, **dict(operation.params)
            )
            for operation in operations
        ]

    def _head(self, nodes: NodeList, tensor: Tensor) -> None:
        tensor = nodes.add("tail", "conv_relu", tensor, out=self.widths[-1], kernel=1, stride=1)
        nodes.add("classifier", "classifier", tensor, out=self.classes)
