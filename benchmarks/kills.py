"""The installed commands, killed at random moments and run again until they end.

``search`` with each algorithm, ``profile`` and ``table validate``, each at least a minute of work without a
kill, get SIGKILL to their whole process group: one time in ten while they start, else up to 8 s after their
terminal shows that they work. Then the same command runs again (``search`` with ``--resume``).

* **Work lost** by a kill is the time from the newest state on the disk, or from the moment when the killed
  command began to work where that is later, to the kill; the clocks are those of the file system and of this
  script. What measures begins to work at the end of its first round: before, it loads what it measures. For
  ``search`` a second figure comes from the terminal alone: the training steps and evaluations that it had
  shown as done when it was killed, less those from which the next command went on, at what they take on
  average.
* **Every end** is compared with that of a command that nobody killed: of a search populations, costs, fronts,
  weights, the algorithm's state and all counts of the ledger, bit by bit; of a table the operations, that
  each is there once and met one of the reasons for which measuring ends, and on the fake device the samples.
* **Nothing that was told is forgotten**: what a killed command printed as a finished generation, or had in
  its table, is there in the end with the same figures.

Interrupted, a run goes on where it ended (``runs/kills``).
"""

import json
import shutil
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _kill_cases import TABLE, Case, Facts, MeasuringCase, SearchCase
from _rows import Row, finish, option_parser, store
from _terminal import Command, cars_hw_program, environment

_RESULTS = "kills"
_FOLDER = Path("runs/kills")
_KILLS = 300
_RESAMPLES = 1000
#: A command that takes longer hangs.
_LONGEST_S = 900.0
_POLL_S = 0.05

#: The share of kills while a command starts, and within how many seconds from its start.
_EARLY_SHARE, _EARLY_S = 0.1, 4.0

_SPACE = ("--space", "nasbench201", "--set", "space.deploy=search")
_LARGE = (*_SPACE, "--set", "space.channels=128", "--set", "space.image_size=32", "--precision", "0.0003")
_SMALL = (*_SPACE, "--set", "space.channels=8", "--precision", "0.02")
_INTERVAL_S = 2.0


def searches() -> list[Case]:
    """List a search by each algorithm, each of at least a minute."""
    eight = {"population_size": 8}
    return [
        SearchCase("cars", eight, 9.0, 14),
        SearchCase("evnas", eight, 3.0, 6),
        SearchCase("nse", {"population_size": 16}, 24.0, 8),
        SearchCase("g_evonas", {**eight, "elite_size": 4}, 24.0, 11),
        SearchCase("random_search", eight, 6.0, 18),
    ]


def measurings(table: Path) -> list[Case]:
    """List what measures for at least a minute; ``table`` is what is validated."""
    return [
        MeasuringCase("profile", "cpu", _LARGE, _INTERVAL_S),
        MeasuringCase("profile", "fake", _SMALL, _INTERVAL_S, block_s=0.12),
        MeasuringCase("validate", "cpu", _LARGE, _INTERVAL_S, table=table),
    ]


def quick() -> list[Case]:
    """List two commands of a few seconds."""
    return [
        SearchCase("random_search", {"population_size": 4}, 3.0, 3),
        MeasuringCase("profile", "fake", _SMALL, _INTERVAL_S, block_s=0.015),
    ]


@dataclass(frozen=True)
class Dose:
    """How often commands are killed, and how soon.

    Attributes:
        kills: At least so many in all.
        most: A run that was killed so often is let go on to its end.
        repetitions: Runs of each command, unless there were enough kills before.
        within_s: Seconds after a command began to work.
    """

    kills: int = _KILLS
    most: int = 40
    repetitions: int = 8
    within_s: float = 8.0


@dataclass
class Kill:
    """What became of one command that was killed.

    Attributes:
        alive_s: Seconds from its start to the kill.
        worked_s: Seconds from its first sign of work to the kill; 0 where there was none.
        lost_s: Seconds of work since the newest state, by the clocks of files.
        redone_s: Seconds of work that a later command did again, by the terminal; ``None`` where it is not
            known.
    """

    alive_s: float
    worked_s: float
    lost_s: float
    redone_s: float | None = None


@dataclass(frozen=True)
class Reference:
    """What a command came to that nobody killed.

    Attributes:
        work_s: Seconds from its first sign of work to its end.
        seconds: Of a batch, and of parts, on average.
        promises: All that it told.
        outcome: What the ends are compared by.
    """

    work_s: float
    seconds: dict[str, float]
    promises: Facts
    outcome: Facts


class Killing:
    """Runs one command until it ends, however often it is killed.

    Args:
        case: The command.
        folder: Where it runs; emptied.
        rng: When it is killed.
        dose: How often, and how soon.
    """

    def __init__(self, case: Case, folder: Path, rng: np.random.Generator, dose: Dose) -> None:
        self._case, self._folder, self._rng, self._dose = case, folder, rng, dose
        self.kills: list[Kill] = []
        self.promises: list[Facts] = []
        self._unsettled: tuple[Kill, tuple[int, int]] | None = None

    def run(self, seconds: Mapping[str, float]) -> None:
        """Kill it at random moments, up to the most, and run it again each time until it ends.

        Args:
            seconds: What steps and evaluations take on average.

        Raises:
            SystemExit: It ended with an error.
        """
        prepared(self._case, self._folder)
        while True:
            command = started(self._case, self._folder, again=bool(self.kills))
            if self._has_ended(command):
                self._settle(command, seconds)
                self.promises.append(self._case.promises(self._folder, command.shown()))
                return
            killed_s = command.kill()
            self._settle(command, seconds)
            shown = command.shown()
            begun_s = shown.when(self._case.begun) or killed_s
            lost_s = killed_s - max(begun_s, self._case.written_s(self._folder))
            kill = Kill(killed_s - command.started_s, killed_s - begun_s, max(lost_s, 0.0))
            self.kills.append(kill)
            self.promises.append(self._case.promises(self._folder, shown))
            progress = self._case.progress(shown)
            if progress is not None:
                self._unsettled = kill, progress.last

    def _has_ended(self, command: Command) -> bool:
        """Wait for the end, or for the moment of the next kill."""
        if len(self.kills) >= self._dose.most:
            require_end(command)
            return True
        if self._rng.random() < _EARLY_SHARE:
            moment_s: float | None = command.started_s + self._rng.uniform(0, _EARLY_S)
        else:
            delay_s, moment_s = self._rng.uniform(0, self._dose.within_s), None
        while moment_s is None:
            if command.wait(time.time() + _POLL_S) is not None:
                break
            begun_s = command.shown().when(self._case.begun)
            moment_s = None if begun_s is None else begun_s + delay_s
        if command.wait(moment_s or 0.0) is None:
            return False
        require_end(command)
        return True

    def _settle(self, command: Command, seconds: Mapping[str, float]) -> None:
        """Enter what the last kill made this command do again, where its terminal shows that."""
        progress = self._case.progress(command.shown())
        if progress is None or self._unsettled is None:
            return
        kill, (steps, evaluations) = self._unsettled
        again_s = (steps - progress.first[0]) * seconds["step"]
        kill.redone_s = max(0.0, again_s + (evaluations - progress.first[1]) * seconds["evaluation"])
        self._unsettled = None


def prepared(case: Case, folder: Path) -> None:
    """Empty ``folder`` and put there what the case begins with."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    case.prepare(folder)


def started(case: Case, folder: Path, *, again: bool) -> Command:
    """Start the installed command of ``case``."""
    return Command(
        [cars_hw_program(), *case.words(again=again)], folder, {**environment(), **case.environment}
    )


def require_end(command: Command) -> None:
    """Wait for a command that nobody kills any more.

    Raises:
        SystemExit: It failed, or hangs.
    """
    status = command.wait(command.started_s + _LONGEST_S)
    if status is None:
        command.kill()
    if status != 0:
        sys.exit(f"the command ended with {status}: {command.shown().plain()[-2000:]}")


def reference(case: Case, folder: Path) -> Reference:
    """Run a command that nobody kills."""
    prepared(case, folder)
    command = started(case, folder, again=False)
    require_end(command)
    ended_s, shown = time.time(), command.shown()
    begun_s = shown.when(case.begun) or command.started_s
    facts = case.promises(folder, shown), case.outcome(folder)
    return Reference(ended_s - begun_s, case.seconds(folder), *facts)


def killed(case: Case, untouched: Reference, folder: Path, dose: Dose, seed: int) -> dict[str, Any]:
    """Kill a command until it ends; return each kill, and in what the end differs from ``untouched``."""
    rng = np.random.default_rng([seed, zlib.crc32(case.name.encode())])
    killing = Killing(case, folder, rng, dose)
    killing.run(untouched.seconds)
    outcome = case.outcome(folder)
    final = {**untouched.promises, **killing.promises[-1]}
    told = [item for promises in killing.promises for item in promises.items()]
    row = {
        "case": case.name,
        "seed": seed,
        "kills": [asdict(kill) for kill in killing.kills],
        "differs": sorted(name for name, fact in untouched.outcome.items() if outcome.get(name) != fact),
        "told": len(told),
        "forgotten": sum(final.get(name) != fact for name, fact in told),
    }
    shutil.rmtree(folder)
    return row


class Results:
    """Rows that are there already, and a place for more: each is on the disk as soon as it is known.

    Args:
        path: A file with a JSON object in each line.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        text = path.read_text() if path.exists() else ""
        self.rows: dict[str, Any] = dict(json.loads(line) for line in text.splitlines())

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the row of ``key``; make it where it is not there yet."""
        if key not in self.rows:
            row = make()
            with self._lock, self._path.open("a") as file:
                file.write(json.dumps([key, row]) + "\n")
                self.rows[key] = row
            print(f"{key}: {_line(row)}", file=sys.stderr, flush=True)
        return self.rows[key]

    def kills(self) -> int:
        """Return how many kills there were."""
        return sum(len(row["kills"]) for row in self.rows.values() if "kills" in row)


def _line(row: Mapping[str, Any]) -> str:
    if "kills" not in row:
        return f"{row['work_s']:.0f} s of work without a kill"
    lost_s = max((kill["lost_s"] for kill in row["kills"]), default=0.0)
    differs = ", ".join(row["differs"]) or "nothing"
    ends = f"{differs} differs, {row['forgotten']} of {row['told']} forgotten"
    return f"{len(row['kills'])} kills, {lost_s:.2f} s lost at most, {ends}"


def kill_all(cases: Sequence[Case], folder: Path, dose: Dose, jobs: int) -> dict[str, Any]:
    """Run whatever is not there yet, so many commands at once; return the raw results."""
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder / "results.jsonl")

    def untouched(case: Case) -> Any:
        return results.get(f"{case.name} untouched", lambda: asdict(reference(case, folder / case.name)))

    def kill(job: tuple[int, Case]) -> None:
        seed, case = job
        if results.kills() < dose.kills:
            key, known = f"{case.name} {seed}", Reference(**untouched(case))
            results.get(key, lambda: killed(case, known, folder / f"{case.name}-{seed}", dose, seed))

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(untouched, [case for case in cases if case.verb != "validate"]))
        list(pool.map(untouched, cases))  # what is validated was profiled by now
        list(pool.map(kill, [(seed, case) for seed in range(dose.repetitions) for case in cases]))
    return {
        "interval_s": {case.verb: case.interval_s for case in cases},
        "references": {case.name: untouched(case) for case in cases},
        "runs": [row for row in results.rows.values() if "kills" in row],
    }


def rows(raw: Mapping[str, Any], source: str, *, least: int = _KILLS) -> list[Row]:
    """Return for each verb what was lost and what differs, with goals."""
    kills = sum(len(run["kills"]) for run in raw["runs"])
    found = [Row("kills.count", kills, "", f">= {least}", source=source)]
    if least >= _KILLS:
        work_s = min(entry["work_s"] for entry in raw["references"].values())
        found.append(Row("kills.least_work", work_s, "s", ">= 60", n=len(raw["references"]), source=source))
    for verb in raw["interval_s"]:
        found += _rows_of(verb, raw, source)
    return found


def _rows_of(verb: str, raw: Mapping[str, Any], source: str) -> list[Row]:
    runs = [run for run in raw["runs"] if run["case"].startswith(f"{verb}.")]
    kills = [kill for run in runs for kill in run["kills"]]
    batch_s = max(
        entry["seconds"]["batch"] for name, entry in raw["references"].items() if name.startswith(f"{verb}.")
    )
    goal = f"<= {raw['interval_s'][verb] + batch_s:.4g}"
    lost_s = [kill["lost_s"] for kill in kills]
    redone_s = [kill["redone_s"] for kill in kills if kill["redone_s"] is not None]
    found = [
        _quantile(f"kills.{verb}.lost.p99", lost_s, 0.99, goal=goal, source=source),
        _quantile(f"kills.{verb}.lost.median", lost_s, 0.5, source=source),
    ]
    if redone_s:
        found.append(_quantile(f"kills.{verb}.redone.p99", redone_s, 0.99, source=source))
        found.append(_quantile(f"kills.{verb}.redone.median", redone_s, 0.5, source=source))
    differing, told = sum(bool(run["differs"]) for run in runs), sum(run["told"] for run in runs)
    forgotten = sum(run["forgotten"] for run in runs)
    return [
        *found,
        Row(f"kills.{verb}.ends_that_differ", differing, "", "<= 0", n=len(runs), source=source),
        Row(f"kills.{verb}.forgotten", forgotten, "", "<= 0", n=told, source=source),
    ]


def _quantile(claim: str, values_s: Sequence[float], q: float, *, source: str, goal: str = "") -> Row:
    """Return a quantile of seconds with its 95 % bootstrap interval."""
    if not values_s:
        return Row(claim, float("nan"), "s", goal, n=0, source=source)
    values = np.array(values_s)
    drawn = np.random.default_rng(0).choice(values, size=(_RESAMPLES, len(values)))
    low, high = np.quantile(np.quantile(drawn, q, axis=1), [0.025, 0.975])
    figure, spread = float(np.quantile(values, q)), (float(low), float(high))
    return Row(claim, figure, "s", goal, spread, n=len(values), source=source)


def main() -> None:
    """Kill, or with ``--quick`` kill six times."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="commands at once")
    parser.add_argument("--kills", type=int, metavar="N", help=f"at least so many kills; {_KILLS}")
    options = parser.parse_args()
    if options.quick:
        folder, cases, dose = _FOLDER / "quick", quick(), Dose(options.kills or 6, 3, 1, 3.0)
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder, dose = _FOLDER, Dose(options.kills or _KILLS)
        cases = [*searches(), *measurings((_FOLDER / "profile.cpu" / TABLE).absolute())]
    raw = kill_all(cases, folder, dose, options.jobs)
    if dose.kills >= _KILLS:
        store(_RESULTS, raw)
    finish(rows(raw, "fresh", least=dose.kills), options)


if __name__ == "__main__":
    main()
