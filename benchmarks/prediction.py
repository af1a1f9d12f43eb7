"""How well a table of units predicts the networks where searches go: all measured on this machine.

For each space, three sessions in processes of their own measure a table of units, a table of operations, and
then judged networks that neither table knows: random ones, the fronts of two searches that believed the first
table of units and mutants of these, and extremes of mostly one operation. In all sessions the same networks
are judged. A part of the table's networks, the *anchors*, is measured once more beside them, and everything
measured is divided by the median of their ratios.

Peer: the table of operations, calibrated by 16 networks, in the same session. Floors: the two halves of the
networks' own samples held against each other, and the same networks measured in another session.
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
from cars_hw.latency.prediction import Predictor
from latency_tables import halves_s, prediction_error_report

Floats = NDArray[np.float64]

_RESULTS = "prediction"
_FOLDER = Path("runs/prediction")
_SESSIONS = 3
#: Anchors whose median ratio corrects what is measured later.
_ANCHORS = 4
_RESAMPLES = 1000
_LEVEL = 0.9
_FASTEST = 20
#: A session whose halves differ by more than this, root mean square, decides nothing.
_NOISY_FLOOR = 0.02


def analysed(session: Session) -> dict[str, Any]:
    """Return what ``session`` measured and what its tables predict, by set; seconds."""
    space, judged = session.case.space, networks_of(session)
    models = {name: latency_model(space, table) for name, table in _tables(session).items()}
    found: dict[str, Any] = {"anchors": _anchors(session), "sets": {}}
    counted, n = 0.0, 0
    for name, architectures in judged.sets().items():
        entries = [session.measured[network_key(space, one)] for one in architectures]
        start_s = time.process_time()
        predicted = {key: _predicted(model, architectures) for key, model in models.items()}
        counted, n = counted + time.process_time() - start_s, n + len(architectures)
        even, odd = halves_s(entries)
        measured = [entry.latency_s for entry in entries]
        found["sets"][name] = {"measured": measured, "even": even, "odd": odd, **predicted}
    return {**found, "candidate_ms": 1e3 * counted / n}


def _tables(session: Session) -> dict[str, Any]:
    return {"units": session.units, "operations": session.operations}


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
    """

    def __init__(self, name: str, raw: Sequence[Mapping[str, Any]]) -> None:
        self._name, self._raw = name, raw

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

    def rows(self, source: str) -> list[Row]:
        """Return the claims."""
        found: list[Row] = []
        for name, at_most, factor in (("front", 2.0, 1.3), ("random", 1.5, 1.3), ("extreme", 3.0, 0.0)):
            found += self._errors(name, at_most, factor, source)
        return [*found, *self._orders(source), *self._coverage(source), *self._fastest(source)]

    def _claim(self, what: str) -> str:
        return f"prediction.{self._name}.{what}"

    def _each(self) -> range:
        return range(len(self._raw))

    def _differences(self, name: str, model: str = "units") -> Floats:
        """Return the relative differences of predictions in their own sessions, (sessions, n)."""
        return np.array(
            [self.predicted(name, i, model)[0] / self.measured(name, i) - 1 for i in self._each()]
        )

    def _errors(self, name: str, at_most: float, factor: float, source: str) -> list[Row]:
        differences, peer = self._differences(name), self._differences(name, "operations")
        floor = 100 * _rms(np.array([self.floor(name, i) for i in self._each()]))
        each = [100 * _rms(row) for row in differences]
        between = [
            self.measured(name, i) / self.measured(name, j, table=i) - 1
            for i in self._each()
            for j in self._each()
            if i < j
        ]
        rmspe = 100 * _rms(differences)
        goal, peer_name, n = f"<= {max(at_most, factor * floor):.3g}", "operations", differences.size
        spread = min(each), max(each)
        found = [
            Row(
                self._claim(f"{name}.rmspe"),
                rmspe,
                "%",
                goal,
                spread,
                floor,
                100 * _rms(peer),
                peer_name,
                n,
                source,
            )
        ]
        if between:
            found.append(
                Row(
                    self._claim(f"{name}.between_sessions"), 100 * _rms(np.array(between)), "%", source=source
                )
            )
        worst, peer_worst = (100 * float(np.abs(one).max()) for one in (differences, peer))
        limit = "<= 6" if name == "front" else ""
        found.append(
            Row(
                self._claim(f"{name}.worst"),
                worst,
                "%",
                limit,
                peer=peer_worst,
                peer_name=peer_name,
                n=n,
                source=source,
            )
        )
        return found

    def _orders(self, source: str) -> list[Row]:
        def tau(model: str) -> list[float]:
            return [
                prediction_error_report(
                    self.predicted("front", i, model)[0].tolist(), self.measured("front", i).tolist()
                ).kendall_tau
                for i in self._each()
            ]

        floors = [
            prediction_error_report(
                self._raw[i]["sets"]["front"]["even"], self._raw[i]["sets"]["front"]["odd"]
            ).kendall_tau
            for i in self._each()
        ]
        taus, floor = tau("units"), float(np.mean(floors))
        return [
            Row(
                self._claim("front.kendall_tau"),
                float(np.mean(taus)),
                "",
                f">= {min(0.95, 0.97 * floor):.3g}",
                (min(taus), max(taus)),
                floor,
                float(np.mean(tau("operations"))),
                "operations",
                len(self._raw[0]["sets"]["front"]["measured"]),
                source,
            )
        ]

    def _coverage(self, source: str) -> list[Row]:
        own = [(i, i) for i in self._each()]
        others = [(i, j) for i in self._each() for j in self._each() if i != j]
        found = []
        for what, pairs in (("coverage90", own), ("coverage90.another_session", others)):
            if pairs:
                z, widths, residuals = self._standardised(pairs)
                inside = 100 * float(np.mean(np.abs(z) <= _quantile()))
                found.append(Row(self._claim(what), inside, "%", ">= 86", n=len(z), source=source))
                found.append(Row(self._claim(f"{what}.upper"), inside, "%", "<= 97", n=len(z), source=source))
                width = float(np.mean(widths) / np.std(residuals))
                found.append(
                    Row(self._claim(f"{what}.half_width"), width, "", "<= 2.5", n=len(z), source=source)
                )
        return found

    def _standardised(self, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, Floats, Floats]:
        """Return z scores, relative half-widths and relative residuals of all sets, (n,) each."""
        z, widths, residuals = [], [], []
        for table, judged in pairs:
            for name in self._raw[0]["sets"]:
                latency_s, deviation_s = self.predicted(name, table)
                measured_s = self.measured(name, judged, table)
                z.append((measured_s - latency_s) / deviation_s)
                widths.append(_quantile() * deviation_s / latency_s)
                residuals.append(measured_s / latency_s - 1)
        return np.concatenate(z), np.concatenate(widths), np.concatenate(residuals)

    def _fastest(self, source: str) -> list[Row]:
        def named(model: str) -> list[int]:
            counts = []
            for i in self._each():
                truly = set(np.argsort(self.measured("front", i))[:_FASTEST].tolist())
                believed = set(np.argsort(self.predicted("front", i, model)[0])[:_FASTEST].tolist())
                counts.append(len(truly & believed))
            return counts

        found, peer = named("units"), named("operations")
        n = len(self._raw[0]["sets"]["front"]["measured"])
        return [
            Row(
                self._claim("front.of_20_fastest"),
                float(np.mean(found)),
                "",
                ">= 18",
                (min(found), max(found)),
                None,
                float(np.mean(peer)),
                "operations",
                n,
                source,
            )
        ]

    def floors(self) -> list[float]:
        """Return the root mean square difference of the halves of all judged networks, by session."""
        names = self._raw[0]["sets"]
        return [_rms(np.concatenate([self.floor(name, i) for name in names])) for i in self._each()]


def _rms(differences: Floats) -> float:
    return float(np.sqrt(np.mean(differences**2)))


def _quantile() -> float:
    """Return how many standard deviations on each side hold ``_LEVEL``."""
    return NormalDist().inv_cdf((1 + _LEVEL) / 2)


def measure(name: str) -> list[dict[str, Any]]:
    """Measure the sessions of a case, each in a fresh process; return what they came to."""
    script = Path(__file__).with_name("_sessions.py")
    for number in range(_SESSIONS):
        subprocess.run([sys.executable, str(script), name, str(number), str(_FOLDER)], check=True)
    case = CASES[name]()
    return [analysed(Session(case, _FOLDER / name / f"session{number}")) for number in range(_SESSIONS)]


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
    rows: list[Row] = []
    is_noisy = False
    for name, sessions in raw.items():
        compared = Sessions(name, sessions)
        is_noisy |= max(compared.floors()) > _NOISY_FLOOR
        rows += compared.rows(source)
        milliseconds = [session["candidate_ms"] for session in sessions]
        rows.append(
            Row(f"prediction.{name}.candidate_ms", float(np.mean(milliseconds)), "ms", "<= 30", source=source)
        )
    finish(rows, options, is_noisy=is_noisy)


if __name__ == "__main__":
    main()
