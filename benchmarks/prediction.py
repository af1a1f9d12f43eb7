"""How well a table of units predicts the networks where searches go: all measured on this machine.

For each space, three sessions in processes of their own measure a table of units, a table of operations, and
then judged networks that neither table knows: random ones, the fronts of two searches that believed the first
table of units and mutants of these, and extremes of mostly one operation. In all sessions the same networks
are judged. A part of the table's networks, the *anchors*, is measured once more beside them, and everything
measured is divided by the median of their ratios.

Peer: the table of operations, calibrated by 16 networks, in the same session. Floors: the two halves of the
networks' own samples held against each other, and the same networks measured in another session. TFLite's
front is predicted by 8 of the table's random networks and 8 of yet another search's front.
Interrupted, a run goes on where it ended (``runs/prediction``); ``--quick`` judges the results of the last
full run again, which are stored with a hash.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from _rows import Row, finish, option_parser, store, stored
from _sessions import CASES, Session, networks_of
from numpy.typing import NDArray

from cars_hw import latency_model
from cars_hw.latency.candidates import network_key
from cars_hw.latency.contents import UnitContents
from cars_hw.latency.counting import counts_for
from cars_hw.latency.prediction import Predictor, UnitPredictor
from cars_hw.networks.architecture import Architecture
from latency_tables import halves_s, prediction_error_report

Floats = NDArray[np.float64]

_RESULTS = "prediction"
_FOLDER = Path("runs/prediction")
_PEER = "operations"
_SESSIONS = 3
#: Anchors whose median ratio corrects what is measured later.
_ANCHORS = 4
_LEVEL = 0.9
_FASTEST = 20
#: Of the table's random networks that calibrate beside those of a front.
_OF_RANDOM = 8
#: Cases whose every claim has a goal; of the others, the front's error.
_JUDGED_WHOLLY = ("demo", "darts_c16_l8")
#: A session whose halves differ by more than this, root mean square, decides nothing.
_NOISY_FLOOR = 0.02
#: How often it is measured.
_TRIES = 4


def analysed(session: Session) -> dict[str, Any]:
    """Return what ``session`` measured and what its tables predict, by set; seconds."""
    space, judged = session.case.space, networks_of(session)
    by_units = latency_model(space, session.units)
    models = {"operations": latency_model(space, session.operations)}
    if judged.calibrating:
        models["with_front"] = _with_front(session, judged.calibrating)
    found: dict[str, Any] = {"anchors": _anchors(session), "sets": {}}
    counted, n = 0.0, 0
    for name, architectures in judged.sets().items():
        entries = [session.measured[network_key(space, one)] for one in architectures]
        start_s = time.process_time()
        predicted = {"units": _predicted(by_units, architectures)}
        counted, n = counted + time.process_time() - start_s, n + len(architectures)
        predicted |= {key: _predicted(model, architectures) for key, model in models.items()}
        even, odd = halves_s(entries)
        measured = [entry.latency_s for entry in entries]
        found["sets"][name] = {"measured": measured, "even": even, "odd": odd, **predicted}
    return {**found, "candidate_ms": 1e3 * counted / n}


def _with_front(session: Session, front: Sequence[Architecture]) -> Predictor:
    """Return the predictor that random networks of the table and those of another front calibrate."""
    space, table = session.case.space, session.units
    pairs = _anchors(session)[:_ANCHORS]
    ratio = float(np.median([later / then for then, later in pairs]))
    random = UnitContents(space, dict(table.executed)).random[:_OF_RANDOM]
    measured = [(one, table[network_key(space, one)].latency_s) for one in random]
    measured += [(one, session.measured[network_key(space, one)].latency_s / ratio) for one in front]
    return UnitPredictor(table, counts_for(space, table), measured)


def _predicted(model: Predictor, architectures: Sequence[tuple[int, ...]]) -> list[list[float]]:
    """Return latency and standard deviation of each, seconds."""
    predictions = map(model.predict, architectures)
    return [[one.latency_s, one.deviation_s] for one in predictions]


def _anchors(session: Session) -> list[list[float]]:
    """Return each anchor as the table has it, and as it was measured beside the judged networks."""
    keys = [network_key(session.case.space, one) for one in session.anchors()]
    return [[session.units[key].latency_s, session.measured[key].latency_s] for key in keys]


class Sessions:
    """The sessions of one case, compared.

    Args:
        name: The case.
        raw: What each of them measured and predicted: see ``analysed``.
        source: Of the rows.
    """

    def __init__(self, name: str, raw: Sequence[Mapping[str, Any]], source: str) -> None:
        self._name, self._raw, self._source = name, raw, source

    def ratio(self, table: int, judged: int, n: int = _ANCHORS) -> float:
        """Return how much slower the machine was when session ``judged`` judged than in table ``table``."""
        then = np.array(self._raw[table]["anchors"])[:n, 0]
        later = np.array(self._raw[judged]["anchors"])[:n, 1]
        return float(np.median(later / then))

    def measured(self, name: str, judged: int, table: int | None = None) -> Floats:
        """Return the judged networks of a set, at the speed of the session of ``table``, (n,) seconds."""
        measured_s: Floats = np.array(self._raw[judged]["sets"][name]["measured"])
        return measured_s / self.ratio(judged if table is None else table, judged)

    def predicted(self, name: str, table: int, model: str = "units") -> tuple[Floats, Floats]:
        """Return the predictions of a set and their standard deviations, (n,) each."""
        latency_s, deviation_s = np.array(self._raw[table]["sets"][name][model]).T
        return latency_s, deviation_s

    def floor(self, name: str, session: int) -> Floats:
        """Return the relative differences of the halves of a set, (n,)."""
        found = self._raw[session]["sets"][name]
        differences: Floats = np.array(found["even"]) / np.array(found["odd"]) - 1
        return differences

    def rows(self) -> list[Row]:
        """Return the claims."""
        milliseconds = [session["candidate_ms"] for session in self._raw]
        counting = self._row("candidate_ms", float(np.mean(milliseconds)), "ms", "<= 30", n=len(milliseconds))
        if self._name in _JUDGED_WHOLLY:
            sets = [
                self._error("front", at_most=2.0, factor=1.3),
                self._worst("front", "<= 6"),
                self._error("random", at_most=1.5, factor=1.3),
                self._worst("random"),
                self._error("extreme", at_most=3.0),
                self._worst("extreme"),
            ]
            return [
                *sets,
                *self._between_sessions(),
                self._order(goal=True),
                self._fastest(">= 18"),
                counting,
            ]
        if "with_front" in self._raw[0]["sets"]["front"]:
            fronts = [
                self._error("front", at_most=3.0, model="with_front", peer="units"),
                self._worst("front", model="with_front", peer="units"),
            ]
        else:
            fronts = [self._error("front", at_most=2.0, factor=1.3), self._worst("front")]
        others = [self._error(name) for name in ("random", "extreme")]
        return [*fronts, *others, *self._between_sessions(), self._order(), self._fastest(), counting]

    def standardised(self, *, another_session: bool) -> tuple[Floats, Floats, Floats]:
        """Return z scores, relative half-widths and relative residuals of all sets, (n,) each.

        Args:
            another_session: Whether the networks were measured in another session than the table was, and
                corrected by its anchors; else in the same.
        """
        z, widths, residuals = [], [], []
        for table, judged in self._pairs(another_session=another_session):
            for name in self._raw[0]["sets"]:
                latency_s, deviation_s = self.predicted(name, table)
                measured_s = self.measured(name, judged, table)
                z.append((measured_s - latency_s) / deviation_s)
                widths.append(_quantile() * deviation_s / latency_s)
                residuals.append(measured_s / latency_s - 1)
        return np.concatenate(z), np.concatenate(widths), np.concatenate(residuals)

    def floors(self) -> list[float]:
        """Return the root mean square difference of the halves of all judged networks, by session."""
        names = self._raw[0]["sets"]
        return [_rms(np.concatenate([self.floor(name, i) for name in names])) for i in self._each()]

    def _row(self, what: str, figure: float, unit: str = "", goal: str = "", **more: Any) -> Row:
        return Row(f"prediction.{self._name}.{what}", figure, unit, goal, source=self._source, **more)

    def _each(self) -> range:
        return range(len(self._raw))

    def _pairs(self, *, another_session: bool) -> list[tuple[int, int]]:
        if not another_session:
            return [(i, i) for i in self._each()]
        return [(i, j) for i in self._each() for j in self._each() if i != j]

    def _differences(self, name: str, model: str) -> Floats:
        """Return the relative differences of predictions in their own sessions, (sessions, n)."""
        return np.array(
            [self.predicted(name, i, model)[0] / self.measured(name, i) - 1 for i in self._each()]
        )

    def _error(
        self, name: str, *, at_most: float = 0.0, factor: float = 0.0, model: str = "units", peer: str = _PEER
    ) -> Row:
        """Return the error of a set; goal: ``at_most``, or ``factor`` times the floor if that is more."""
        differences = self._differences(name, model)
        floor = 100 * _rms(np.array([self.floor(name, i) for i in self._each()]))
        each = [100 * _rms(row) for row in differences]
        return self._row(
            f"{name}.rmspe",
            100 * _rms(differences),
            "%",
            f"<= {max(at_most, factor * floor):.3g}" if at_most else "",
            spread=(min(each), max(each)),
            floor=floor,
            peer=100 * _rms(self._differences(name, peer)),
            peer_name=peer,
            n=differences.size,
        )

    def _worst(self, name: str, goal: str = "", *, model: str = "units", peer: str = _PEER) -> Row:
        worst, of_peer = (float(np.abs(self._differences(name, one)).max()) for one in (model, peer))
        n = self._differences(name, model).size
        return self._row(f"{name}.worst", 100 * worst, "%", goal, peer=100 * of_peer, peer_name=peer, n=n)

    def _between_sessions(self) -> list[Row]:
        """Return how far the same networks were apart in two sessions, corrected by anchors."""
        pairs = [(i, j) for i, j in self._pairs(another_session=True) if i < j]
        if not pairs:
            return []
        found = []
        for name in self._raw[0]["sets"]:
            differences = np.array(
                [self.measured(name, i) / self.measured(name, j, table=i) - 1 for i, j in pairs]
            )
            figure = 100 * _rms(differences)
            found.append(self._row(f"{name}.between_sessions", figure, "%", n=differences.size))
        return found

    def _order(self, *, goal: bool = False) -> Row:
        def taus(model: str) -> list[float]:
            return [
                _tau(self.predicted("front", i, model)[0].tolist(), self.measured("front", i).tolist())
                for i in self._each()
            ]

        fronts = [session["sets"]["front"] for session in self._raw]
        floor = float(np.mean([_tau(front["even"], front["odd"]) for front in fronts]))
        found = taus("units")
        return self._row(
            "front.kendall_tau",
            float(np.mean(found)),
            goal=f">= {min(0.95, 0.97 * floor):.3g}" if goal else "",
            spread=(min(found), max(found)),
            floor=floor,
            peer=float(np.mean(taus(_PEER))),
            peer_name=_PEER,
            n=len(fronts[0]["measured"]),
        )

    def _fastest(self, goal: str = "") -> Row:
        def named(model: str) -> list[int]:
            counts = []
            for i in self._each():
                truly = set(np.argsort(self.measured("front", i))[:_FASTEST].tolist())
                believed = set(np.argsort(self.predicted("front", i, model)[0])[:_FASTEST].tolist())
                counts.append(len(truly & believed))
            return counts

        found, peer = named("units"), named(_PEER)
        return self._row(
            "front.of_20_fastest",
            float(np.mean(found)),
            goal=goal,
            spread=(min(found), max(found)),
            peer=float(np.mean(peer)),
            peer_name=_PEER,
            n=len(self._raw[0]["sets"]["front"]["measured"]),
        )


def coverage(cases: Sequence[Sessions], source: str) -> list[Row]:
    """Return how many of all judged networks are inside of their 90 % intervals, and how wide these are."""
    found: list[Row] = []
    for what, another in (("coverage90", False), ("coverage90.another_session", True)):
        parts = [case.standardised(another_session=another) for case in cases]
        z, widths, residuals = (np.concatenate(part) for part in zip(*parts, strict=True))
        inside, n = 100 * float(np.mean(np.abs(z) <= _quantile())), len(z)
        width = float(np.mean(widths) / np.std(residuals))
        found += [
            Row(f"prediction.{what}", inside, "%", ">= 86", n=n, source=source),
            Row(f"prediction.{what}.upper", inside, "%", "<= 98", n=n, source=source),
            Row(f"prediction.{what}.half_width", width, "", "<= 2.5", n=n, source=source),
        ]
    return found


def _tau(predicted_s: Sequence[float], measured_s: Sequence[float]) -> float:
    return prediction_error_report(predicted_s, measured_s).kendall_tau


def _rms(differences: Floats) -> float:
    return float(np.sqrt(np.mean(differences**2)))


def _quantile() -> float:
    """Return how many standard deviations on each side hold ``_LEVEL``."""
    return NormalDist().inv_cdf((1 + _LEVEL) / 2)


def measure(name: str) -> list[dict[str, Any]]:
    """Measure the sessions of a case, each in a fresh process; return what they came to."""
    return [_session(name, number) for number in range(_SESSIONS)]


def _session(name: str, number: int) -> dict[str, Any]:
    """Measure a session, anew while the machine is too noisy to decide anything; return what it came to."""
    script, folder = Path(__file__).with_name("_sessions.py"), _FOLDER / name / f"session{number}"
    found: dict[str, Any] = {}
    for noisy in range(_TRIES):
        subprocess.run([sys.executable, str(script), name, str(number), str(_FOLDER)], check=True)
        found = analysed(Session(CASES[name](), folder))
        floor = max(Sessions(name, [found], "fresh").floors())
        if floor <= _NOISY_FLOOR or noisy == _TRIES - 1:
            break
        print(f"{folder}: its halves differ by {100 * floor:.2g} %; it is measured anew", flush=True)
        folder.rename(folder.with_name(f"{folder.name}.noisy{noisy}"))
    return found


def main() -> None:
    """Measure all cases, or judge what was stored."""
    parser = option_parser(__doc__ or "")
    parser.add_argument("--case", action="append", choices=sorted(CASES), help="only this one; repeatable")
    options = parser.parse_args()
    names = options.case or list(CASES)
    if options.quick:
        raw, source = stored(_RESULTS), "stored"
        raw = {name: sessions for name, sessions in raw.items() if name in names}
    else:
        raw, source = {name: measure(name) for name in names}, "fresh"
        if names == list(CASES):
            store(_RESULTS, raw)
    cases = [Sessions(name, sessions, source) for name, sessions in raw.items()]
    is_noisy = any(max(case.floors()) > _NOISY_FLOOR for case in cases)
    rows = [row for case in cases for row in case.rows()]
    finish([*rows, *coverage(cases, source)], options, is_noisy=is_noisy)


if __name__ == "__main__":
    main()
