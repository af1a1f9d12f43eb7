"""Frames: what a page shows of a run as rows, table by table, for pandas, CSV and Parquet."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from types import MappingProxyType

from cars_hw.results.reporting.run_model import Breakdown, FrontMember, Interval, RunData

#: A cell; what is not known is ``None``.
Cell = str | int | float | bool | None
Row = dict[str, Cell]


def rows_of(table: str, run: RunData, objectives: Sequence[str]) -> list[Row]:
    """Return the rows of a table of one run, each with the run's name.

    Args:
        table: One of ``OF_RUNS``.
        run: The run.
        objectives: Names of the costs, (m,).
    """
    return [{"run": run.name, **row} for row in OF_RUNS[table](run, objectives)]


def _generations(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.generations:
        yield {
            "generation": one.index,
            "hypervolume": one.hypervolume,
            "best_error": one.best_error,
            "median_error": one.median_error,
            "front": one.front,
            "seconds": one.seconds,
            "evaluations": one.evaluations,
        }


def _members(run: RunData, objectives: Sequence[str]) -> Iterator[Row]:
    for one in run.generations:
        infeasible = set(one.infeasible)
        for place, (member, error) in enumerate(zip(one.population, one.errors, strict=True)):
            costs = one.others.get(member, (error, *run.members.costs[member][1:]))
            yield {
                "generation": one.index,
                "member": member,
                "architecture": run.members.architecture[member],
                **dict(zip(objectives, costs, strict=True)),
                "in_front": place < one.front,
                "infeasible": member in infeasible,
            }


def _front(run: RunData, objectives: Sequence[str]) -> Iterator[Row]:
    for one in run.front:
        yield {
            "number": one.number,
            "member": one.member,
            "architecture": run.members.architecture[one.member],
            **dict(zip(objectives, one.costs, strict=True)),
            **_latencies(one),
            "dominated": one.dominated,
            "violations": "; ".join(one.violations),
            "picks": ", ".join(one.picks),
            "retrained": ", ".join(one.retrained),
        }


def _latencies(one: FrontMember) -> Row:
    """Return the latencies of a member of the front, six columns each."""
    found: Row = {}
    for name, latency in one.latencies.items():
        found[f"{name} predicted"] = latency.predicted
        found |= _ends(f"{name} predicted", latency.predicted_interval)
        found[f"{name} measured"] = latency.measured
        found |= _ends(f"{name} measured", latency.measured_interval)
        found[f"{name} uncorrected"] = latency.uncorrected
    return found


def _ends(name: str, ends: Interval | None) -> Row:
    low, high = (None, None) if ends is None else ends
    return {f"{name} low": low, f"{name} high": high}


def _picks(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.picks:
        yield asdict(one)


def _graphs(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for number, parts in run.graphs.items():
        for part in parts:
            for node in part.nodes:
                yield {
                    "number": number,
                    "part": part.title,
                    "times": part.times,
                    "node": node.id,
                    "label": node.label,
                    "inputs": ", ".join(node.inputs),
                }


def _breakdowns(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for number, by_name in run.breakdowns.items():
        for name, found in by_name.items():
            yield from ({"number": number, "quantity": name, **row} for row in _parts(found))


def _parts(found: Breakdown) -> Iterator[Row]:
    for of, parts in (("class", found.classes), ("part", found.dearest)):
        for part in parts:
            yield {"of": of, **asdict(part)}


def _accuracy(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for target in run.accuracy:
        for one in target.networks:
            yield {
                "quantity": target.quantity,
                "role": one.role,
                "member": one.member,
                "predicted": one.predicted,
                **_ends("predicted", one.predicted_interval),
                "measured": one.measured,
                **_ends("measured", one.measured_interval),
            }


def _targets(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.accuracy:
        yield {
            "quantity": one.quantity,
            "networks": len(one.networks),
            "rmspe_percent": one.rmspe_percent,
            "noise_floor_percent": one.noise_floor_percent,
            "constant_percent": one.constant_percent,
            "text": one.text,
        }


def _retrained(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.retrained:
        yield {
            "name": one.name,
            "number": one.number,
            "architecture": one.architecture,
            "error": one.error,
            "shared_error": one.shared_error,
            "top5_error": one.top5_error,
            "parameters": one.parameters,
            "judged": one.judged,
            "are_unseen": one.are_unseen,
            **{f"{name} predicted": latency.predicted for name, latency in one.latencies.items()},
            **{f"{name} measured": latency.measured for name, latency in one.latencies.items()},
        }


def _curves(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.retrained:
        columns = (one.curve.epoch, one.curve.error, one.curve.training_error, one.curve.loss)
        for epoch, error, training_error, loss in zip(*columns, strict=True):
            yield {
                "name": one.name,
                "epoch": epoch,
                "error": error,
                "training_error": training_error,
                "loss": loss,
            }


def _spent(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.spent:
        yield asdict(one)


def _ledger(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for name, figure in run.ledger.items():
        yield {"figure": name, "value": figure}


def _settings(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for key, value in run.settings.items():
        yield {"key": key, "value": ", ".join(map(str, value)) if isinstance(value, list) else str(value)}


def _limits(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for name, most in run.limits.items():
        yield {"objective": name, "most": most, "held_against": run.limit_texts.get(name, "")}


def _said(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.warnings:
        yield {"kind": one.kind, "text": one.text}
    yield {"kind": "trust", "text": run.trust}
    for note in run.notes:
        yield {"kind": "note", "text": note}


def _files(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    for one in run.files:
        yield asdict(one)


def _runs(run: RunData, _: Sequence[str]) -> Iterator[Row]:
    yield {
        "path": run.path,
        "title": run.title,
        "seed": run.seed,
        "configuration": run.configuration,
        "summary": run.summary,
        "generations": len(run.generations) - 1,
        "planned": run.planned,
    }


#: Which tables there are of a run.
OF_RUNS = MappingProxyType[str, Callable[[RunData, Sequence[str]], Iterator[Row]]](
    {
        "front": _front,
        "members": _members,
        "generations": _generations,
        "picks": _picks,
        "limits": _limits,
        "graphs": _graphs,
        "breakdowns": _breakdowns,
        "accuracy": _accuracy,
        "targets": _targets,
        "retrained": _retrained,
        "curves": _curves,
        "spent": _spent,
        "ledger": _ledger,
        "settings": _settings,
        "said": _said,
        "files": _files,
        "runs": _runs,
    }
)
