"""A space with more networks than a table is calibrated and validated by."""

from cars_hw.testing._tabular import TinySpace


class FortyNetworks(TinySpace):
    """Forty-eight chains of three small convolutions."""

    def __init__(self) -> None:
        super().__init__((4, 3, 4), ((0,), (1,), (2,)))
