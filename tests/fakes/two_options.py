"""The smallest space with a choice: two convolutions, the first of two kernels."""

from cars_hw.testing._tabular import TinySpace


class TwoOptions(TinySpace):
    """Two networks of two operations, each many times as long as a call: noise does not hide them."""

    image_shape = (32, 32, 32)
    widening = 4

    def __init__(self) -> None:
        super().__init__((2, 1), ((0,), (1,)))
