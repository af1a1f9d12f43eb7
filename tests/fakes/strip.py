"""An operation kind from outside, in one file: convolutions along rows, then down columns."""

from cars_hw.networks.kinds import OperationKind
from cars_hw.networks.layers import BatchNorm, Conv, Layer, Relu6
from latency_tables import OpSpec


class Strip(OperationKind):
    """A 1xk and a kx1 depthwise convolution, normalised and rectified, and a 1x1 convolution to ``out``."""

    def layers(self, spec: OpSpec, /) -> tuple[Layer, ...]:
        c, kernel, out = spec.input_shape[1], spec.integer("kernel"), spec.integer("out")
        row, column = (Conv(c, c, size, groups=c) for size in ((1, kernel), (kernel, 1)))
        return (row, column, BatchNorm(c, affine=True), Relu6(), Conv(c, out, kernel=1))
