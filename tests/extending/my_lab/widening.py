"""An operation kind of existing layers, in one file: widen, filter each channel, narrow."""

from cars_hw.networks.kinds import OperationKind
from cars_hw.networks.layers import BatchNorm, Conv, Layer, Relu6
from latency_tables import OpSpec


class Widening(OperationKind):
    """A 1x1 convolution to twice the channels, a depthwise one, and a 1x1 one back to ``out``."""

    def layers(self, spec: OpSpec, /) -> tuple[Layer, ...]:
        c, kernel, out = spec.input_shape[1], spec.integer("kernel"), spec.integer("out")
        widen, narrow = Conv(c, 2 * c, kernel=1), Conv(2 * c, out, kernel=1)
        return (
            widen,
            Relu6(),
            Conv(2 * c, 2 * c, kernel, groups=2 * c),
            BatchNorm(2 * c, affine=True),
            narrow,
        )
