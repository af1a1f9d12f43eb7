"""Prediction error: predictions held against measurements, beside the scores of noise and of a constant."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import TableError
from latency_tables.intervals.pooled import pooled_intervals
from latency_tables.measurement import Measurement
from latency_tables.spec import OpSpec
from latency_tables.validation import MIN_NETWORKS, Validation


@dataclass(frozen=True)
class PredictionErrorReport:
    """Differences of predictions of networks from their measurements, in percent of the measured latency.

    Attributes:
        n: Networks.
        bias_percent: Mean difference; positive where predictions are too slow.
        rmspe_percent: Root of the mean squared difference.
        median_difference_percent: Median of the absolute differences.
        within_5_percent: Percent of the networks that are predicted to within 5 %.
        within_10_percent: Percent of the networks that are predicted to within 10 %.
        kendall_tau: Agreement of the two orders, -1 to 1; NaN where all predictions, or all measurements, are
            equal.
        constant_rmspe_percent: ``rmspe_percent`` of predicting each network as the mean of the others'
            measurements: what is known without a table.
        constant_median_difference_percent: ``median_difference_percent`` of those.
    """

    n: int
    bias_percent: float
    rmspe_percent: float
    median_difference_percent: float
    within_5_percent: float
    within_10_percent: float
    kendall_tau: float
    constant_rmspe_percent: float
    constant_median_difference_percent: float


def prediction_error_report(
    predicted_s: Sequence[float], measured_s: Sequence[float]
) -> PredictionErrorReport:
    """Compare predictions with measurements of the same networks, ``(n,)`` seconds each.

    Raises:
        TableError: Fewer than three networks, unequal numbers, or a value that is not positive and finite.
    """
    if len(predicted_s) != len(measured_s) or len(measured_s) < MIN_NETWORKS:
        raise TableError(
            f"{len(predicted_s)} predictions and {len(measured_s)} measurements; "
            f"a prediction error needs both of the same networks, {MIN_NETWORKS} or more"
        )
    predicted, measured = np.asarray(predicted_s, dtype=float), np.asarray(measured_s, dtype=float)
    if not all(np.all(np.isfinite(values) & (values > 0)) for values in (predicted, measured)):
        raise TableError("a prediction error needs positive, finite latencies")
    others_mean = (measured.sum() - measured) / (len(measured) - 1)
    differences = predicted / measured - 1
    constant_differences = others_mean / measured - 1
    return PredictionErrorReport(
        n=len(measured),
        bias_percent=100 * float(np.mean(differences)),
        rmspe_percent=_root_mean_square_percent(differences),
        median_difference_percent=_median_percent(differences),
        within_5_percent=100 * float(np.mean(np.abs(differences) <= 0.05)),
        within_10_percent=100 * float(np.mean(np.abs(differences) <= 0.10)),
        kendall_tau=_kendall_tau(predicted, measured),
        constant_rmspe_percent=_root_mean_square_percent(constant_differences),
        constant_median_difference_percent=_median_percent(constant_differences),
    )


#: Kind of the entries of whole networks that are measured once more, as anchors, beside their own entries.
REFERENCE = "reference"

#: Two sessions whose networks differ by less are of one speed: what MLPerf Mobile allows a phone that repeats
#: its own figure (mobile_open/rules).
SAME_SPEED = 0.05
#: Farther apart, sessions do not compare: the machine does something else beside, or is another one.
MOST_SPEED_CHANGE = 0.25

#: The deviation of a median of normal errors over that of their mean, for many of them.
_MEDIAN_OVER_MEAN = (math.pi / 2) ** 0.5


@dataclass(frozen=True)
class SessionSpeed:
    """How long anchors took in a session: some of a table's networks, against their entries in the table.

    Attributes:
        n: Networks.
        ratio: Median of later over earlier latency.
        spread: The 95 % half-width of ``ratio``, relative, by the networks' own intervals and their
            disagreement.
    """

    n: int
    ratio: float
    spread: float

    @classmethod
    def of(
        cls,
        pairs: Sequence[tuple[Measurement, Measurement]],
        known: Mapping[OpSpec, Measurement] | None = None,
    ) -> Self:
        """Return the speed by measurements of the same networks, earlier and later; one pair at least.

        Args:
            pairs: Of each network, under two keys.
            known: Those and what else tells how processes differ; see ``pooled_intervals``.
        """
        logs = np.array([np.log(later.latency_s / earlier.latency_s) for earlier, later in pairs])
        both = {one.spec: one for pair in pairs for one in pair}
        intervals = pooled_intervals(both if known is None else known)
        widths = {
            spec: (intervals[spec][1] - intervals[spec][0]) / 2 / one.latency_s for spec, one in both.items()
        }
        own_widths = [math.hypot(widths[earlier.spec], widths[later.spec]) for earlier, later in pairs]
        disagreement = 2 * float(np.std(logs, ddof=1)) / len(pairs) ** 0.5 if len(pairs) > 1 else 0.0
        spread = max(float(np.sqrt(np.mean(np.square(own_widths)) / len(pairs))), disagreement)
        of_median = _MEDIAN_OVER_MEAN if len(pairs) > 2 else 1.0  # of two, both are the same
        return cls(len(pairs), float(np.exp(np.median(logs))), of_median * spread)

    @property
    def is_another(self) -> bool:
        """Whether the two sessions were of different speeds."""
        return abs(self.ratio - 1) > max(self.spread, SAME_SPEED)

    @property
    def is_far(self) -> bool:
        """Whether the two sessions were of speeds so different that they do not compare."""
        return abs(self.ratio - 1) > MOST_SPEED_CHANGE

    @property
    def offset_text(self) -> str:
        """How far the session is off: ``9% slower (+/- 1.0%)``, or ``as fast (+/- 1.0%)``."""
        percent, word = f"{abs(self.ratio - 1):.0%}", "slower" if self.ratio > 1 else "faster"
        return f"{'as fast' if percent == '0%' else f'{percent} {word}'} (+/- {self.spread:.1%})"

    def corrected(
        self, latency_s: float, interval_s: tuple[float, float]
    ) -> tuple[float, tuple[float, float]]:
        """Return a latency at the table's speed, and its 95 % interval, in seconds."""
        at_table_s = latency_s / self.ratio
        below, above = (math.hypot(abs(bound - latency_s) / latency_s, self.spread) for bound in interval_s)
        return at_table_s, (at_table_s * max(1 - below, 0.0), at_table_s * (1 + above))

    def __str__(self) -> str:
        return (
            f"measured in a session of another speed: when it was validated, {self.n} of its own networks "
            f"were {self.offset_text}"
        )


def reference_of(network: OpSpec) -> OpSpec:
    """Return the key of ``network`` measured once more, as an anchor."""
    return replace(network, kind=REFERENCE)


def session_speed(measurements: Mapping[OpSpec, Measurement]) -> SessionSpeed | None:
    """Compare the networks that a validation measured once more with their entries; ``None`` without any."""
    pairs = [
        (measurements[own], entry)
        for spec, entry in measurements.items()
        if spec.kind == REFERENCE and (own := replace(spec, kind="network")) in measurements
    ]
    return SessionSpeed.of(pairs, measurements) if pairs else None


@dataclass(frozen=True)
class ValidationReport:
    """The prediction error of a table, beside the least and the most that it may sensibly be.

    Attributes:
        prediction_error: Predictions against measurements at the table's speed, and the constant predictor's
            score.
        floor: The halves of the networks' own samples (even and odd) against each other: no prediction can
            be seen to be better than that.
        covered_percent: Percent of those measurements inside of the predicted 95 % interval.
        session: The speed of the device at the validation; ``None`` where it was not measured.
    """

    prediction_error: PredictionErrorReport
    floor: PredictionErrorReport
    covered_percent: float
    session: SessionSpeed | None = None

    @property
    def beats_constant(self) -> bool:
        """Whether the table says more than the mean of the networks does."""
        return self.prediction_error.rmspe_percent < self.prediction_error.constant_rmspe_percent

    def __str__(self) -> str:
        error, floor = self.prediction_error, self.floor
        verdict = "" if self.beats_constant else "; NO BETTER than the constant predictor"
        if self.session is not None and self.session.is_another:
            verdict += f"; {self.session}"
        return (
            f"{error.n} whole networks: RMSPE {error.rmspe_percent:.1f} % (noise floor "
            f"{floor.rmspe_percent:.1f} %, constant predictor {error.constant_rmspe_percent:.1f} %), "
            f"within 5 % {error.within_5_percent:.0f} %, within 10 % {error.within_10_percent:.0f} %, "
            f"Kendall tau {error.kendall_tau:.2f} (floor {floor.kendall_tau:.2f}){verdict}"
        )


def validation_report(validation: Validation, measurements: Mapping[OpSpec, Measurement]) -> ValidationReport:
    """Hold the predictions of ``validation`` against ``measurements`` of the same networks.

    Where anchors were measured beside them, the measurements are divided by the anchors' ratio.

    Raises:
        TableError: A network has no measurement, or only one sample, which has no halves.
    """
    measured = []
    for network in validation.networks:
        entry = measurements.get(network.spec)
        if entry is None or len(entry.samples_s) < 2:
            raise TableError(f"the validated network {network.spec} was not measured; validate again")
        measured.append(entry)
    session = session_speed(measurements)
    ratio = 1.0 if session is None else session.ratio
    measured_s = [entry.latency_s / ratio for entry in measured]
    inside = [
        network.interval_s[0] <= latency_s <= network.interval_s[1]
        for network, latency_s in zip(validation.networks, measured_s, strict=True)
    ]
    return ValidationReport(
        prediction_error_report([network.latency_s for network in validation.networks], measured_s),
        prediction_error_report(*halves_s(measured)),
        100 * sum(inside) / len(inside),
        session,
    )


def halves_s(measured: Sequence[Measurement]) -> tuple[list[float], list[float]]:
    """Return the latencies by the even and by the odd samples of each: what noise alone makes of them."""
    even, odd = ([entry.every_other(start).latency_s for entry in measured] for start in (0, 1))
    return even, odd


def _root_mean_square_percent(differences: NDArray[np.float64]) -> float:
    """Return the root of the mean square of relative ``differences`` (n,)."""
    return 100 * float(np.sqrt(np.mean(differences**2)))


def _median_percent(differences: NDArray[np.float64]) -> float:
    """Return the median of the absolute relative ``differences`` (n,)."""
    return 100 * float(np.median(np.abs(differences)))


def _kendall_tau(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    """Return Kendall's tau-b of two series, (n,) each."""
    from scipy.stats import kendalltau  # takes over a second, which a search need not spend

    return float(kendalltau(predicted, measured).statistic)
