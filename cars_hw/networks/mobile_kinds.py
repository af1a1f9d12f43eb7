"""Operation kinds of mobile networks, and the activations that came with them. No torch.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381:

* ``conv_bn_relu6``: ``out``, ``kernel``, ``stride``
* ``inverted_residual``: ``out``, ``kernel``, ``stride``, ``expansion``; nothing widens the input for an
  expansion of 1, and what is added to the output is a ``sum`` of its own

Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", arXiv 1807.11626, and Howard et
al., "Searching for MobileNetV3", arXiv 1905.02244. Parameters that name an activation are one of the words
``relu``, ``relu6``, ``sigmoid``, ``hard_sigmoid``, ``swish``, ``hard_swish`` and ``gelu``:

* ``conv_bn_act``: ``out``, ``kernel``, ``stride``, ``activation``
* ``bottleneck``: ``out``, ``kernel``, ``stride``, ``wide``, ``activation``; an inverted residual whose
  depthwise convolution has ``wide`` channels; nothing widens an input that has as many
* ``gated_bottleneck``: ``squeezed``, ``inner`` and ``gate`` as well; a squeeze-and-excitation follows the
  depthwise convolution
* ``squeeze_excite``: ``squeezed``, ``inner``, ``gate``; Hu et al., "Squeeze-and-Excitation Networks", arXiv
  1709.01507, with the activations ``inner`` and ``gate``
* ``hidden_classifier``: ``hidden``, ``activation``, ``out``; a classifier of two linear layers
* ``hard_sigmoid``, ``swish``, ``hard_swish``, ``gelu``: none; the activation alone
"""

from collections.abc import Callable, Iterator, Mapping

from cars_hw.networks.layers import (
    Activation,
    BatchNorm,
    Conv,
    Gelu,
    GlobalPool,
    HardSigmoid,
    HardSwish,
    Layer,
    Linear,
    Relu,
    Relu6,
    Sigmoid,
    SqueezeExcite,
    Swish,
)
from latency_tables import OpSpec, SpecError

_WORDS: Mapping[str, Activation] = {
    "relu": Relu(),
    "relu6": Relu6(),
    "sigmoid": Sigmoid(),
    "hard_sigmoid": HardSigmoid(),
    "swish": Swish(),
    "hard_swish": HardSwish(),
    "gelu": Gelu(),
}


def _activation(spec: OpSpec, name: str) -> Activation:
    """Return the activation that the parameter ``name`` says.

    Raises:
        SpecError: There is no such parameter, or it is no activation.
    """
    word = dict(spec.params).get(name)
    if word not in _WORDS:
        raise SpecError(f"{spec} has no activation as {name!r} (known: {', '.join(_WORDS)})")
    return _WORDS[str(word)]


def _conv_bn(spec: OpSpec, activation: Activation) -> tuple[Layer, ...]:
    out, kernel, stride = (spec.integer(name) for name in ("out", "kernel", "stride"))
    return (Conv(spec.input_shape[1], out, kernel, stride), BatchNorm(out, affine=True), activation)


def _inverted_residual(spec: OpSpec) -> tuple[Layer, ...]:
    return tuple(_widened(spec, spec.integer("expansion") * spec.input_shape[1], Relu6()))


def _bottleneck(spec: OpSpec) -> tuple[Layer, ...]:
    return tuple(_widened(spec, spec.integer("wide"), _activation(spec, "activation")))


def _gated_bottleneck(spec: OpSpec) -> tuple[Layer, ...]:
    wide = spec.integer("wide")
    return tuple(_widened(spec, wide, _activation(spec, "activation"), _gating(spec, wide)))


def _widened(spec: OpSpec, wide: int, activation: Activation, *gate: Layer) -> Iterator[Layer]:
    """Yield a depthwise convolution of ``wide`` channels between two 1x1 convolutions, all normalised."""
    c, out = spec.input_shape[1], spec.integer("out")
    if wide < c:
        raise SpecError(f"{spec} does not widen its {c} channels")
    if wide > c:
        yield from (Conv(c, wide, kernel=1), BatchNorm(wide, affine=True), activation)
    depthwise = Conv(wide, wide, spec.integer("kernel"), stride=spec.integer("stride"), groups=wide)
    yield from (depthwise, BatchNorm(wide, affine=True), activation, *gate)
    yield from (Conv(wide, out, kernel=1), BatchNorm(out, affine=True))


def _gating(spec: OpSpec, channels: int) -> SqueezeExcite:
    inner, gate = _activation(spec, "inner"), _activation(spec, "gate")
    return SqueezeExcite(channels, spec.integer("squeezed"), inner, gate)


def _hidden_classifier(spec: OpSpec) -> tuple[Layer, ...]:
    hidden, out = spec.integer("hidden"), spec.integer("out")
    activation = _activation(spec, "activation")
    return (GlobalPool(), Linear(spec.input_shape[1], hidden), activation, Linear(hidden, out))


#: How each kind is spelled out, by its name.
MOBILE_KINDS: Mapping[str, Callable[[OpSpec], tuple[Layer, ...]]] = {
    "conv_bn_relu6": lambda spec: _conv_bn(spec, Relu6()),
    "inverted_residual": _inverted_residual,
    "conv_bn_act": lambda spec: _conv_bn(spec, _activation(spec, "activation")),
    "bottleneck": _bottleneck,
    "gated_bottleneck": _gated_bottleneck,
    "squeeze_excite": lambda spec: (_gating(spec, spec.input_shape[1]),),
    "hidden_classifier": _hidden_classifier,
    "hard_sigmoid": lambda spec: (HardSigmoid(),),
    "swish": lambda spec: (Swish(),),
    "hard_swish": lambda spec: (HardSwish(),),
    "gelu": lambda spec: (Gelu(),),
}
