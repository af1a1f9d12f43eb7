"""An objective at which a user loses patience: it sends this process the signals that ``SENT`` says, once."""

import signal

from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Ingredients, Objective

#: What is sent at the next evaluation.
SENT: list[signal.Signals] = []


class RaisingSignals(Objective):
    """The number of an architecture's first option."""

    @classmethod
    def make(cls, found: Ingredients) -> "RaisingSignals":
        return cls()

    def __call__(self, architecture: Architecture, /) -> float:
        while SENT:
            signal.raise_signal(SENT.pop())
        return float(architecture[0])
