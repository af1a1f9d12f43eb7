"""Where the milliseconds of a table's whole networks go, by what its runtime executes."""

from collections.abc import Sequence
from dataclasses import dataclass

from latency_tables import LatencyTable, NetworkObservation, TableError, Term, UnitModel, unit_class

#: What a call costs that executes nothing.
CALL = "call"


@dataclass(frozen=True)
class ClassShare:
    """The part that one class of units has in whole networks, on average.

    Attributes:
        unit_class: As ``latency_tables.unit_class`` says, or ``"call"``.
        units: Distinct ones.
        executed: How many a network executes.
        latency_s: Seconds of a network.
        share: Of all seconds of a network, 0..1.
    """

    unit_class: str
    units: int
    executed: float
    latency_s: float
    share: float


def breakdown(table: LatencyTable) -> list[ClassShare]:
    """Return the classes of units of the measured networks whose graphs ``table`` keeps, dearest first.

    Args:
        table: Of units.

    Raises:
        MissingEntryError: It lacks the latency of a call.
        TableError: It is of operations, or no network was measured.
    """
    measured = [
        NetworkObservation(graph.counts, table[network].latency_s)
        for network, graph in table.executed.items()
        if network in table
    ]
    if not measured:
        raise TableError(
            f"{table.path or 'the table'} has no whole network to tell where its time goes; profile it"
        )
    model = UnitModel(table, measured)
    predictions = [model.predict(network.counts) for network in measured]
    n, total_s = len(predictions), sum(one.latency_s for one in predictions)
    terms = [term for one in predictions for term in one.terms]
    call_s = total_s - sum(term.total_s for term in terms)
    shares = [ClassShare(CALL, 1, 1.0, call_s / n, call_s / total_s)]
    for name in dict.fromkeys(unit_class(term.spec) for term in terms):
        own = [term for term in terms if unit_class(term.spec) == name]
        shares.append(_share(name, own, n, total_s))
    return sorted(shares, key=lambda one: -one.latency_s)


def _share(name: str, terms: Sequence[Term], n: int, total_s: float) -> ClassShare:
    latency_s = sum(term.total_s for term in terms)
    units, executed = len({term.spec for term in terms}), sum(term.count for term in terms)
    return ClassShare(name, units, executed / n, latency_s / n, latency_s / total_s)
