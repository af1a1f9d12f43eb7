"""The smallest space with a choice: two convolutions, the first of two kernels."""

from tests.fakes.tabular import TinySpace


class TwoOptions(TinySpace):
    """Two networks of two operations."""

    name = "two_options"

    def __init__(self) -> None:
        super().__init__((2, 1), ((0,), (1,)))
