"""Operation kinds: each says which primitive layers an operation is made of. No torch.

The DARTS kinds follow Liu et al., "DARTS: Differentiable Architecture Search", arXiv 1806.09055, section
3.1.1, and its code. A kind reads one NCHW input, or several of one shape; its parameters are integers:

* ``conv_bn``, ``relu_conv_bn``: ``out``, ``kernel``, ``stride``, ``affine``
* ``factorized_reduce``: ``out``, ``affine``
* ``sep_conv``: ``kernel``, ``stride``, ``affine``; ``dil_conv``: ``dilation`` as well
* ``max_pool``, ``avg_pool``: ``kernel``, ``stride``, ``batch_norm``
* ``pool_conv``: ``out``; an average over 2x2 pixels, then a 1x1 convolution without normalisation
* ``zero``: ``out``, ``stride``; nothing, in a given shape
* ``sum``, ``concat``: ``inputs``
* ``classifier``: ``out``; ``norm_classifier``: normalises and rectifies first

The NSE kinds follow Ci et al., "Evolving Search Space for Neural Architecture Search", arXiv 2011.10904, and
its code; all widen the input ``expansion`` times by a 1x1 convolution, even once, and end with one:

* ``mbconv``: ``out``, ``kernel``, ``stride``, ``expansion``, ``dilation``; depthwise in between; the 1x1
  convolutions are in ``expand_groups`` and ``project_groups``
* ``rec``: ``out``, ``kernel``, ``stride``, ``expansion``; 1xk and kx1 in between
* ``normal_conv``, ``dual_conv``: ``out``, ``kernel``, ``stride``, ``expansion``; one full convolution in
  between, or two, the later of which has the stride
* ``conv_bn_relu``: ``out``, ``kernel``, ``stride``; ``conv_relu``: the same without normalisation
* ``mean``: ``inputs``

Those of mobile networks are in ``mobile_kinds``. And:

* ``call_overhead``: none; the cheapest operation there is, to measure what a call costs

A module from outside defines a further kind; see ``OperationKind``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial

from cars_hw.networks.layers import (
    BatchNorm,
    Concat,
    Conv,
    FactorizedConv,
    GlobalPool,
    Layer,
    Linear,
    Mean,
    Pool,
    Relu,
    Sum,
    Zero,
)
from cars_hw.networks.mobile_kinds import MOBILE_KINDS
from devices.foundation import load_plugin
from latency_tables import OpSpec, SpecError

_Spell = Callable[[OpSpec], tuple[Layer, ...]]


class OperationKind(ABC):
    """A kind of operation from outside, made of primitive layers; a plug-in is a module with one subclass.

    Its modules, parameters, MACs, memory and exported forms follow from the layers.

    Attributes:
        name: The word for it in specs: letters, digits and underscores. If a subclass does not say it, the
            name of its file.
    """

    name: str

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = cls.__module__.rpartition(".")[2]

    def __repr__(self) -> str:
        return f"<kind of operation {self.name}>"

    @abstractmethod
    def layers(self, spec: OpSpec, /) -> tuple[Layer, ...]:
        """Return the layers of ``spec``, whose input is NCHW, in the order of execution.

        The first one takes all inputs.

        Raises:
            SpecError: A parameter is missing, or does not go with the input.
        """


def define(kind: OperationKind) -> None:
    """Let specs of this process be of ``kind``; again, for a kind that is defined already, does nothing.

    Raises:
        SpecError: Its name is no name, or is that of another kind.
    """
    OpSpec(kind.name, (1, 1, 1, 1))  # refuses what is no name
    known = _defined.get(kind.name)
    if type(known) is type(kind):
        return
    if known is not None or kind.name in _OURS or kind.name in _GRAPH_KINDS:
        raise SpecError(
            f"{type(kind).__module__} defines the operation kind {kind.name!r}, which exists; rename it"
        )
    _defined[kind.name] = kind


def load_kinds(names: Iterable[str]) -> None:
    """Define the kinds that the modules ``names`` from outside hold, one each.

    Raises:
        UnknownNameError: There is no such module.
        CarsHwError: A module does not define exactly one kind.
        SpecError: As ``define`` says.
    """
    for name in names:
        define(load_plugin(None, name, OperationKind, what="operation kind")())


def spelled(spec: OpSpec) -> tuple[Layer, ...]:
    """Return the layers of ``spec``.

    Raises:
        SpecError: The kind is unknown, or a parameter of the kind is missing.
    """
    if spec.kind in _defined:
        return _defined[spec.kind].layers(spec)
    if spec.kind not in _OURS:
        raise SpecError(f"{spec} is of an unknown kind (known: {', '.join((*_OURS, *_defined))})")
    return _OURS[spec.kind](spec)


def _conv_bn(spec: OpSpec) -> tuple[Layer, ...]:
    out = spec.integer("out")
    conv = Conv(spec.input_shape[1], out, spec.integer("kernel"), stride=spec.integer("stride"))
    return (conv, _batch_norm(spec, out))


def _relu_conv_bn(spec: OpSpec) -> tuple[Layer, ...]:
    return (Relu(), *_conv_bn(spec))


def _factorized_reduce(spec: OpSpec) -> tuple[Layer, ...]:
    _, c, height, width = spec.input_shape
    out = spec.integer("out")
    if height % 2 or width % 2 or out % 2:
        raise SpecError(f"{spec} halves {height}x{width} pixels and {out} channels; all must be even")
    return (Relu(), FactorizedConv(c, out), _batch_norm(spec, out))


def _sep_conv(spec: OpSpec) -> tuple[Layer, ...]:
    strides = (spec.integer("stride"), 1)
    return tuple(layer for stride in strides for layer in _depthwise_separable(spec, stride=stride))


def _dil_conv(spec: OpSpec) -> tuple[Layer, ...]:
    return _depthwise_separable(spec, stride=spec.integer("stride"), dilation=spec.integer("dilation"))


def _depthwise_separable(spec: OpSpec, *, stride: int, dilation: int = 1) -> tuple[Layer, ...]:
    c = spec.input_shape[1]
    depthwise = Conv(c, c, spec.integer("kernel"), stride=stride, dilation=dilation, groups=c)
    return (Relu(), depthwise, Conv(c, c, kernel=1), _batch_norm(spec, c))


def _pool(mode: str, spec: OpSpec) -> tuple[Layer, ...]:
    pool = Pool(mode, spec.integer("kernel"), spec.integer("stride"))
    return (pool, BatchNorm(spec.input_shape[1], affine=False)) if spec.integer("batch_norm") else (pool,)


def _pool_conv(spec: OpSpec) -> tuple[Layer, ...]:
    _, c, height, width = spec.input_shape
    if height % 2 or width % 2:
        raise SpecError(f"{spec} halves {height}x{width} pixels; both must be even")
    return (Pool("avg", kernel=2, stride=2), Conv(c, spec.integer("out"), kernel=1))


def _classifier(spec: OpSpec) -> tuple[Layer, ...]:
    return (GlobalPool(), Linear(spec.input_shape[1], spec.integer("out")))


def _norm_classifier(spec: OpSpec) -> tuple[Layer, ...]:
    return (BatchNorm(spec.input_shape[1], affine=True), Relu(), *_classifier(spec))


def _mbconv(spec: OpSpec) -> tuple[Layer, ...]:
    width = _width(spec)
    depthwise = Conv(
        width,
        width,
        spec.integer("kernel"),
        stride=spec.integer("stride"),
        dilation=spec.integer("dilation"),
        groups=width,
    )
    groups = (spec.integer("expand_groups"), spec.integer("project_groups"))
    return _bottleneck(spec, depthwise, groups=groups)


def _rec(spec: OpSpec) -> tuple[Layer, ...]:
    width, kernel, stride = _width(spec), spec.integer("kernel"), spec.integer("stride")
    return _bottleneck(
        spec,
        Conv(width, width, kernel=(1, kernel), stride=(1, stride)),
        Conv(width, width, kernel=(kernel, 1), stride=(stride, 1)),
    )


def _normal_conv(spec: OpSpec) -> tuple[Layer, ...]:
    width = _width(spec)
    return _bottleneck(spec, Conv(width, width, spec.integer("kernel"), stride=spec.integer("stride")))


def _dual_conv(spec: OpSpec) -> tuple[Layer, ...]:
    width, kernel = _width(spec), spec.integer("kernel")
    return _bottleneck(
        spec, Conv(width, width, kernel), Conv(width, width, kernel, stride=spec.integer("stride"))
    )


def _width(spec: OpSpec) -> int:
    return spec.integer("expansion") * spec.input_shape[1]


def _bottleneck(spec: OpSpec, *middle: Conv, groups: tuple[int, int] = (1, 1)) -> tuple[Layer, ...]:
    """Return ``middle`` between two 1x1 convolutions, all normalised, all but the last rectified."""
    c, width, out = spec.input_shape[1], _width(spec), spec.integer("out")
    if any(
        channels % n for n, pair in zip(groups, ((c, width), (width, out)), strict=True) for channels in pair
    ):
        raise SpecError(f"{spec} does not divide its channels into its groups")
    convs = (
        Conv(c, width, kernel=1, groups=groups[0]),
        *middle,
        Conv(width, out, kernel=1, groups=groups[1]),
    )
    rectified = [(conv, BatchNorm(conv.c_out, affine=True), Relu()) for conv in convs]
    return tuple(layer for layers in rectified for layer in layers)[:-1]


def _conv_bn_relu(spec: OpSpec) -> tuple[Layer, ...]:
    conv, relu = _conv_relu(spec)
    return (conv, BatchNorm(spec.integer("out"), affine=True), relu)


def _conv_relu(spec: OpSpec) -> tuple[Conv, Relu]:
    conv = Conv(
        spec.input_shape[1], spec.integer("out"), spec.integer("kernel"), stride=spec.integer("stride")
    )
    return conv, Relu()


def _batch_norm(spec: OpSpec, channels: int) -> BatchNorm:
    return BatchNorm(channels, affine=bool(spec.integer("affine")))


_OURS: dict[str, _Spell] = {
    "conv_bn": _conv_bn,
    "relu_conv_bn": _relu_conv_bn,
    "factorized_reduce": _factorized_reduce,
    "sep_conv": _sep_conv,
    "dil_conv": _dil_conv,
    "max_pool": partial(_pool, "max"),
    "avg_pool": partial(_pool, "avg"),
    "pool_conv": _pool_conv,
    "zero": lambda spec: (Zero(spec.input_shape[1], spec.integer("out"), spec.integer("stride")),),
    "sum": lambda spec: (Sum(),),
    "concat": lambda spec: (Concat(),),
    "classifier": _classifier,
    "norm_classifier": _norm_classifier,
    "mbconv": _mbconv,
    "rec": _rec,
    "normal_conv": _normal_conv,
    "dual_conv": _dual_conv,
    "conv_bn_relu": _conv_bn_relu,
    "conv_relu": _conv_relu,
    "mean": lambda spec: (Mean(),),
    **MOBILE_KINDS,
    "call_overhead": lambda spec: (Relu(),),
}

#: What graphs and tables have beside operations.
_GRAPH_KINDS = frozenset({"network", "weighted_sum"})

#: Kinds from outside, by name. A kind never changes once it is here: what follows from it is cached.
_defined: dict[str, OperationKind] = {}
