"""What was retrained of a run, beside what its search found and what was measured of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cars_hw.candidate import Candidate
from cars_hw.latency.anchors import Anchored
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.results.measured import as_measured, latencies_measured, latency_cells
from cars_hw.retraining.records import Retrained, retrained_of
from cars_hw.runs import Run
from cars_hw.saving.record import Generation

#: Errors are shares with four digits.
_ERROR = "{:.4f}"


@dataclass(frozen=True)
class RetrainedMember:
    """A network that was retrained, with what the run that it is of says of it.

    Attributes:
        retrained: What was kept of the retraining.
        number: Its number in the run's last front; ``None`` where it is not in that.
        generation: The last generation that evaluated it or kept it; ``None`` where none did.
        shared_weights_error: Its error there: with the weights that all networks of the search share, on the
            images that judge these; ``None`` where no generation knows it.
        predicted_ms: Its latencies as predicted there, milliseconds, by the names of their objectives.
        measured: Its latencies that were measured, by the names of their objectives.
    """

    retrained: Retrained
    number: int | None = None
    generation: int | None = None
    shared_weights_error: float | None = None
    predicted_ms: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Anchored] = field(default_factory=dict)

    def latency_json(self) -> dict[str, Json]:
        """Return predicted and measured latencies by the names of their objectives."""
        found: dict[str, Json] = {}
        for name, predicted_ms in self.predicted_ms.items():
            one: dict[str, Json] = {"predicted_ms": predicted_ms}
            if name in self.measured:
                latency = self.measured[name]
                one["measured_ms"] = latency.latency_s * 1e3
                one["measured_interval_ms"] = [bound * 1e3 for bound in latency.interval_s]
            found[name] = one
        return found

    def to_json(self) -> dict[str, Json]:
        """Return what was kept of the retraining, and what the search found under ``of_the_search``."""
        of_the_search: dict[str, Json] = {
            "number": self.number,
            "generation": self.generation,
            "shared_weights_error": self.shared_weights_error,
            "latency": self.latency_json(),
        }
        return {**self.retrained.to_json(), "of_the_search": of_the_search}


def retrained_members(run: Run, found: Mapping[str, Retrained] | None = None) -> dict[str, RetrainedMember]:
    """Return what was retrained of a run beside what its search found, by the names of the folders.

    Args:
        run: The run.
        found: What was retrained; what is finished in the run's folder if not given.

    Raises:
        CheckpointError: A record is damaged, no generation is complete, or the measurements are damaged.
    """
    found = retrained_of(run.path) if found is None else found
    if not found:
        return {}
    record = run.record()
    front = as_measured(run, record).front
    numbers = {to_text(member.architecture): number for number, member in enumerate(front)}
    wanted = {one.architecture for one in found.values() if one.is_of(run.config)}
    known, measured = _known(record.history, wanted), latencies_measured(run, record)
    members = {}
    for name, one in found.items():
        members[name] = RetrainedMember(one)
        if one.architecture in known:
            generation, candidate = known[one.architecture]
            costs = generation.costs_of(candidate)
            members[name] = RetrainedMember(
                one,
                number=numbers.get(one.architecture),
                generation=generation.index,
                shared_weights_error=candidate.costs[0],
                predicted_ms={key: costs[key] for key in run.config.searched_targets() if key in costs},
                measured={
                    key: by_member[candidate.architecture]
                    for key, by_member in measured.items()
                    if candidate.architecture in by_member
                },
            )
    return members


def columns(members: Mapping[str, RetrainedMember]) -> list[str]:
    """Return what a table calls the figures of ``cells``."""
    latencies = [
        column for name in _latencies(members) for column in (f"{name} measured (95 %)", "predicted")
    ]
    return ["network", "#", "error", "with shared weights", *latencies]


def rows(members: Mapping[str, RetrainedMember]) -> list[list[str]]:
    """Return a row of text for each member, by ``columns``; empty where nothing is known."""
    names, found = _latencies(members), []
    for name, one in members.items():
        latency = one.latency_json()
        shared = "" if one.shared_weights_error is None else _ERROR.format(one.shared_weights_error)
        number = "" if one.number is None else str(one.number)
        cells = [cell for key in names for cell in latency_cells(latency.get(key))]
        found.append([name, number, _ERROR.format(one.retrained.error), shared, *cells])
    return found


def _latencies(members: Mapping[str, RetrainedMember]) -> list[str]:
    return list(dict.fromkeys(name for one in members.values() for name in one.predicted_ms))


def _known(history: Sequence[Generation], wanted: set[str]) -> dict[str, tuple[Generation, Candidate]]:
    """Return by their text the last candidate of each architecture that is ``wanted``, and its generation."""
    return {
        text: (generation, member)
        for generation in history
        for member in (*generation.population, *generation.front)
        if (text := to_text(member.architecture)) in wanted
    }
