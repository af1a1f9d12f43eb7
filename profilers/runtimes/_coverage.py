"""Coverage: what part of a TFLite model its delegates run, whoever reports it."""

from dataclasses import dataclass

from latency_tables import Conditions


@dataclass(frozen=True)
class Coverage:
    """What part of a model its delegates run.

    Attributes:
        delegates: Names of the delegates that run anything, sorted.
        partitions: Pieces of the graph that they run, each as a whole; one where nothing divides it.
        nodes_outside: Nodes that run outside of them all; ``None`` where their number is not known.
        nodes: Nodes of the model, before delegates took some; likewise.
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
        """Return what is kept with an entry: all that is known."""
        counts = {"nodes": self.nodes, "nodes_outside": self.nodes_outside}
        return {
            "delegates": ",".join(self.delegates) or "none",
            "partitions": self.partitions,
            **{name: n for name, n in counts.items() if n is not None},
        }
