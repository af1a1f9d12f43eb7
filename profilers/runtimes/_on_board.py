"""How a runtime executes on a board: what the program there is told, given, and found to have computed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from latency_tables import Conditions, OpSpec
from profilers.runtimes._reference import Array, Values


@dataclass(frozen=True)
class Loaded:
    """What a board tells of a model that it has loaded and called once; not trusted.

    Attributes:
        outputs: What it computed, in the model's order and layout.
        nodes: Operations as the runtime lists them, where it does.
    """

    outputs: Sequence[Values]
    nodes: Sequence[Mapping[str, object]]


class Execution(ABC):
    """A runtime with its settings, as the program on a board executes it.

    Attributes:
        name: Of the runtime, to that program.
        packages: What brings it to a board, best first, as pip knows it.
    """

    name: ClassVar[str]
    packages: ClassVar[Sequence[str]]

    @property
    @abstractmethod
    def options(self) -> Mapping[str, object]:
        """What the program is told of threads and settings."""

    @abstractmethod
    def inputs(self, spec: OpSpec) -> Sequence[Values]:
        """Return random inputs of ``spec`` in the model's order and layout."""

    @abstractmethod
    def checked(self, spec: OpSpec, loaded: Loaded, reference: Array | None) -> Conditions:
        """Return what is kept with the entry of a model; its output is compared with torch's.

        Raises:
            WrongOutputError: The output differs from ``reference``, or is not finite.
            GarbledOutputError: What the board tells contradicts itself.
        """
