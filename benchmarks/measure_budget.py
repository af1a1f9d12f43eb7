"""One search with and one without a measuring budget: how far its final front's predictions are off.

The demo's space and a shortened search, twice from the same seed and the same table of units, on this machine
(``runs/measure_budget``). The front of each is measured at the end, beside anchors. With a budget, the
predictions that the search ended with are judged, and beside them, as the peer, what the table alone says of
the same networks. Members that the search itself measured correct their own predictions, so that those it
never measured are judged apart. Floor: the halves of the front's own samples held against each other.
Interrupted, a run goes on; ``--quick`` judges the results of the last full run again, which are stored with a
hash.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _judged import short_search
from _rows import Row, finish, option_parser, store, stored

from cars_hw import SearchConfig, open_search, profile
from cars_hw.assembly import make_setup, make_space
from cars_hw.latency.model import latency_model
from cars_hw.networks.architecture import to_text
from cars_hw.results.measured import MeasuredGeneration, measure_front
from cars_hw.runs import Run
from latency_tables import LatencyTable, halves_s

_RESULTS = "measure_budget"
_FOLDER = Path("runs/measure_budget")
_LATENCY = "latency_ms"
_SEED = 51
_GENERATIONS, _BUDGET_S = 5, 600.0


def search(config: SearchConfig, folder: Path, budget_s: float) -> dict[str, Any]:
    """Search, measure the final front, and return what was predicted and measured of it; seconds."""
    run = Run.open(folder) if Run.exists(folder) else Run.create(folder, config)
    for generation in open_search(run, measure_budget_s=budget_s).run():
        print(f"{folder.name}: {generation}", flush=True)
    front = measure_front(run)
    space = make_space(run.config)
    sessions = [one for one in run.measurements(space).read() if one.purpose == "model"]
    known = {architecture for one in sessions for architecture in one.latencies}
    members = [member.architecture for member in front.front]
    return {
        "seconds": [one.seconds for one in sessions],
        "search_s": float(sum(generation.seconds for generation in run.record().history)),
        "front": [
            {**one, "is_known": architecture in known}
            for one, architecture in zip(_judged(run, front), members, strict=True)
        ],
    }


def _judged(run: Run, generation: MeasuredGeneration) -> list[dict[str, Any]]:
    """Return of each member what the search ended with, what the table says alone, and what was measured."""
    latency = run.config.for_target().latency
    alone = latency_model(make_space(run.config), LatencyTable.open(latency.table), make_setup(latency))
    found = []
    for member in generation.front:
        measured = generation.latencies_of(member)[_LATENCY]
        ratio = 1.0 if measured.speed is None else measured.speed.ratio
        [even_s], [odd_s] = halves_s([measured.measured])
        found.append(
            {
                "architecture": to_text(member.architecture),
                "predicted_s": generation.predicted_of(member)[_LATENCY] / 1e3,
                "by_table_s": alone.predict(member.architecture).latency_s,
                "measured_s": measured.latency_s,
                "halves_s": [even_s / ratio, odd_s / ratio],
            }
        )
    return found


def rows(raw: dict[str, Any], source: str) -> list[Row]:
    """Return the errors of both searches' last predictions, and what the measuring took."""
    without, budgeted = raw["without"]["front"], raw["with"]["front"]
    unknown = [one for one in budgeted if not one["is_known"]]
    spent = raw["with"]["seconds"]
    found = [
        _row("without", without, "", source, has_peer=False),
        _row("with", budgeted, _goal(budgeted), source),
    ]
    if unknown:
        found.append(_row("with.never_measured", unknown, _goal(unknown), source))
    return [
        *found,
        Row("measure_budget.measuring", sum(spent), "s", n=len(spent), source=source),
        Row("measure_budget.search", raw["with"]["search_s"], "s", source=source),
    ]


def _goal(members: list[dict[str, Any]]) -> str:
    """Return no more than the table alone is off, or than noise is, where that is more."""
    return f"<= {max(_rmspe(members, 'by_table_s'), _floor(members)):.3g}"


def _row(name: str, members: list[dict[str, Any]], goal: str, source: str, *, has_peer: bool = True) -> Row:
    return Row(
        f"measure_budget.{name}.front.rmspe",
        _rmspe(members, "predicted_s"),
        "%",
        goal,
        floor=_floor(members),
        peer=_rmspe(members, "by_table_s") if has_peer else None,
        peer_name="the table alone" if has_peer else "",
        n=len(members),
        source=source,
    )


def _rmspe(members: list[dict[str, Any]], key: str) -> float:
    return 100 * float(np.sqrt(np.mean([(one[key] / one["measured_s"] - 1) ** 2 for one in members])))


def _floor(members: list[dict[str, Any]]) -> float:
    halves = np.array([one["halves_s"] for one in members])
    return 100 * float(np.sqrt(np.mean((halves[:, 0] / halves[:, 1] - 1) ** 2)))


def measure(generations: int, folder: Path) -> dict[str, Any]:
    """Measure the table, make both searches, and return what they came to."""
    folder.mkdir(parents=True, exist_ok=True)
    config = short_search().with_latency(table=str(folder / "latency.jsonl"))
    schedule = config.search.model_copy(update={"seed": _SEED, "generations": generations})
    config = config.model_copy(update={"search": schedule})
    profile(config)
    budgets = {"without": 0.0, "with": _BUDGET_S}
    return {name: search(config, folder / name, budget_s) for name, budget_s in budgets.items()}


def main(options: argparse.Namespace) -> None:
    """Make both searches, or judge what was stored."""
    if options.quick:
        raw, source = stored(_RESULTS), "stored"
    else:
        is_full = options.generations == _GENERATIONS
        folder = _FOLDER if is_full else _FOLDER / f"generations{options.generations}"
        raw, source = measure(options.generations, folder), "fresh"
        if is_full:
            store(_RESULTS, raw)
    finish(rows(raw, source), options)


if __name__ == "__main__":
    parser = option_parser(__doc__ or "")
    parser.add_argument("--generations", type=int, default=_GENERATIONS, help="fewer of them, to try it")
    main(parser.parse_args())
