"""The contract of what measures members of fronts while a search goes on, and corrects its costs by that."""

from collections.abc import Callable, Sequence
from typing import Protocol

from cars_hw.networks.architecture import Architecture


class FrontMeasuring(Protocol):
    """Measures on a device, writes down what it measured, and corrects known costs by it.

    What was written down is used again, not measured again: a search that is resumed from a checkpoint before
    it gets the same corrections.
    """

    @property
    def used(self) -> tuple[int, ...]:
        """The numbers of the measurings that correct the costs now."""
        ...

    def take_up(self, used: Sequence[int]) -> None:
        """Let those of these numbers correct the costs, and no others.

        Raises:
            CheckpointError: They are not there any more.
        """
        ...

    def corrects(
        self, generation: int, front: Sequence[Architecture], *, before_run: Callable[[], None]
    ) -> bool:
        """Measure after a generation what it is time for; return whether costs are others from then on.

        Args:
            generation: The one that was selected just now.
            front: Its front.
            before_run: Called before anything is run on a device; what it raises ends the measuring.
        """
        ...
