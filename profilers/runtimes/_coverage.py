"""Coverage: what part of a TFLite model its delegates run, whoever tells it."""

from dataclasses import dataclass

from latency_tables import Conditions


@dataclass(frozen=True)
class Coverage:
    """What part of a model its delegates run.

    Attributes:
        delegates: Names of the delegates that run anything, sorted.
        partitions: Pieces of the graph that they run, each as a whole; one where nothing divides it.
        nodes_outside: Nodes that run outside of them all; ``None`` where it is not told how many.
        nodes: Of the model, before delegates took some; likewise.
    """

    delegates: tuple[str, ...]
    partitions: int
    nodes_outside: int | None
    nodes: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether a single piece holds the whole graph."""
        return self.nodes_outside == 0 and self.partitions == 1

    def facts(self) -> Conditions:
        """Return what belongs on record with an entry: all that is told."""
        told = {"nodes": self.nodes, "nodes_outside": self.nodes_outside}
        return {
            "delegates": ",".join(self.delegates) or "none",
            "partitions": self.partitions,
            **{name: n for name, n in told.items() if n is not None},
        }
