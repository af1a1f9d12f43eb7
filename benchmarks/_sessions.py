"""Sessions of measuring for ``prediction.py``: tables of one space, and the networks that they are judged on.

A session is a process of its own: it measures a table of units, a table of operations, then all judged
networks and, beside them, some of the table's own once more. Everything is kept as latency tables, so that an
interrupted session goes on.

    python benchmarks/_sessions.py CASE NUMBER FOLDER
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from _judged import Judged, judged, short_search

from cars_hw import spaces
from cars_hw.assembly import make_space
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import TableContents, UnitContents, network_workload
from cars_hw.networks.architecture import Architecture, from_text, to_text
from cars_hw.results.tables import profile
from cars_hw.spaces._space import SearchSpace
from latency_tables import LatencyTable
from profilers import BusyError, Setup, fill_table

UNITS, OPERATIONS, JUDGED, NETWORKS = "units.jsonl", "operations.jsonl", "judged.jsonl", "networks.json"
#: Of a table's networks, how many are measured once more in each session.
ANCHORS = 12
#: How often a session goes on after the machine was too busy, and how long it waits.
_TRIES, _REST_S = 5, 60.0


@dataclass(frozen=True)
class Case:
    """A space on a runtime.

    Attributes:
        name: In claims.
        space: Of what is predicted.
        trained: The search whose weights judge accuracy.
        runtime: What executes.
        calibrating: Networks of another search's front that are measured to calibrate.
    """

    name: str
    space: SearchSpace
    trained: SearchConfig
    runtime: str = "onnxruntime"
    calibrating: int = 0

    @property
    def setup(self) -> Setup:
        """This machine, by one thread."""
        return Setup("cpu", self.runtime)


def _demo(runtime: str = "onnxruntime", calibrating: int = 0) -> Case:
    search = short_search()
    name = "demo" if runtime == "onnxruntime" else runtime
    return Case(name, make_space(search), search, runtime, calibrating)


def _darts() -> Case:
    space = spaces.load("darts", deploy="search", channels=16, cells=8, image_size=32)
    return Case("darts_c16_l8", space, short_search())  # the demo's cells have the same decisions


def _mobilenet() -> Case:
    settings = {"channels": 16, "layers": 2, "stem_stride": 2, "image_channels": 1, "classes": 10}
    search = short_search({"name": "mobilenet", "deploy": "search", **settings})
    return Case("mobilenet", make_space(search), search)


CASES: Mapping[str, Callable[[], Case]] = {
    "demo": _demo,
    "darts_c16_l8": _darts,
    "mobilenet": _mobilenet,
    "tflite": lambda: _demo("tflite", calibrating=8),
}


@dataclass(frozen=True)
class Session:
    """What one session measured.

    Attributes:
        case: Of what.
        folder: Where it lies.
    """

    case: Case
    folder: Path

    @cached_property
    def units(self) -> LatencyTable:
        """The table of units."""
        return LatencyTable.open(self.folder / UNITS)

    @cached_property
    def operations(self) -> LatencyTable:
        """The table of operations."""
        return LatencyTable.open(self.folder / OPERATIONS)

    @cached_property
    def measured(self) -> LatencyTable:
        """The judged networks, and the anchors."""
        return LatencyTable.open(self.folder / JUDGED)

    def measure(self) -> None:
        """Measure what is missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        case = self.case
        table = str(self.folder / UNITS)
        space = {"name": case.space.name, **case.space.settings.values()}
        config = SearchConfig.model_validate(
            {"space": space, "latency": {"table": table, "device": "cpu", "runtime": case.runtime}}
        )
        profile(config)
        fill_table(self.folder / OPERATIONS, TableContents(case.space).workloads(), case.setup)
        anchors = [network_workload(case.space, one) for one in self.anchors()]
        networks = [network_workload(case.space, one) for one in self.all_judged()]
        fill_table(self.folder / JUDGED, [*anchors, *networks], case.setup)

    def anchors(self) -> tuple[Architecture, ...]:
        """Return those of the table's networks that each session measures once more."""
        return UnitContents(self.case.space, dict(self.units.executed)).random[:ANCHORS]

    def all_judged(self) -> list[Architecture]:
        """Return the networks of all sets, and those that calibrate; draw them where no session did."""
        networks = networks_of(self)
        return [*networks.calibrating, *(one for found in networks.sets().values() for one in found)]


def networks_of(session: Session) -> Judged:
    """Return the judged networks of a case, which its first session draws."""
    path = session.folder.parent / NETWORKS
    if not path.exists():
        case = session.case
        found = judged(case.space, case.trained, session.units, calibrating=case.calibrating)
        drawn = {**found.sets(), "calibrating": found.calibrating}
        names = {name: [to_text(one) for one in each] for name, each in drawn.items()}
        part = path.with_suffix(".part")
        part.write_text(json.dumps(names, indent=1) + "\n")
        part.replace(path)
    choices = session.case.space.choices
    stored = json.loads(path.read_text())
    return Judged(**{name: tuple(from_text(one, choices) for one in each) for name, each in stored.items()})


def main() -> None:
    """Measure one session."""
    name, number, folder = sys.argv[1:]
    session = Session(CASES[name](), Path(folder) / name / f"session{number}")
    for _ in range(_TRIES):
        try:
            return session.measure()
        except BusyError as error:  # what was measured is kept, and the rest may find the machine quieter
            print(error, file=sys.stderr, flush=True)
            time.sleep(_REST_S)
    sys.exit(f"{name}, session {number}: the machine was too busy; run it again")


if __name__ == "__main__":
    main()
