"""Where the milliseconds of one network go: by its table, and by the runtime's own profiler."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from cars_hw.latency.breakdown import CALL
from cars_hw.ledger import Json
from latency_tables import OpSpec, Prediction, Term, is_unit, unit_class, unit_text
from profilers import OperatorTime

#: What is in the names of operators, those of TFLite, of XNNPACK and of ONNX, and the class that it means
#: where no unit is known; the first that fits. XNNPACK multiplies matrices (GEMM) for windows of 1 x 1.
_CLASSES = (
    ("depthwise", re.compile(r"dwconv|depthwise")),
    ("pointwise", re.compile(r"^convolution .* gemm$")),
    ("convolution", re.compile(r"conv")),
    ("pool", re.compile(r"pool")),
    ("norm", re.compile(r"normalization")),
    ("reorder", re.compile(r"reorder|transpose")),
)


@dataclass(frozen=True)
class Part:
    """A part of a network: a unit, an operation, the call itself, an operator, or several of them.

    Attributes:
        name: As people read it.
        unit_class: As ``latency_tables.unit_class`` says; of an operation its kind; or ``"call"``.
        spec: Its key; ``None`` for what has none.
        units: Distinct ones; none is in the call.
        predicted_count: How many a call executes, as predicted.
        predicted_s: Seconds that they are predicted to take; ``None``: the prediction has none.
        profiled_count: How many a call executed when it was profiled.
        profiled_s: Seconds that they took; ``None``: the profile has none.
        unmeasured: How many of the units were never measured: others of their class tell what they cost.
    """

    name: str
    unit_class: str
    spec: OpSpec | None = None
    units: int = 1
    predicted_count: int = 0
    predicted_s: float | None = None
    profiled_count: int = 0
    profiled_s: float | None = None
    unmeasured: int = 0

    @property
    def dearness(self) -> tuple[float, float]:
        """What parts are sorted by, falling: what is predicted, then what was profiled."""
        return self.predicted_s or 0.0, self.profiled_s or 0.0


@dataclass(frozen=True)
class NetworkBreakdown:
    """Where the time of one network goes.

    Attributes:
        measured_s: Seconds per call, as measured without a profiler.
        at_table_speed_s: The same at the speed of the table, to which a prediction compares.
        prediction: Of a table; ``None`` without one.
        times: What the runtime's profiler said, in the order of execution; empty where it said nothing.
        why_unprofiled: Why it said nothing.
    """

    measured_s: float
    at_table_speed_s: float
    prediction: Prediction | None = None
    times: tuple[OperatorTime, ...] = ()
    why_unprofiled: str = ""

    def __repr__(self) -> str:
        return f"<breakdown of a network into {len(self.parts)} parts>"

    @property
    def predicted_s(self) -> float | None:
        """Seconds of all parts, as predicted; ``None`` where nothing is known of parts."""
        has_parts = self.prediction is not None and self.prediction.terms
        return self.prediction.latency_s if has_parts and self.prediction else None

    @property
    def profiled_s(self) -> float | None:
        """Seconds of all parts, as profiled; ``None`` without a profile."""
        return math.fsum(time.mean_s for time in self.times) if self.times else None

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The call, and each distinct unit, operation or operator, dearest first."""
        predicted = list(self._predicted())
        profiled = {part.spec or part.name: part for part in self._profiled()}
        both = [
            _together(part.name, part.unit_class, [part, profiled.pop(part.spec)], spec=part.spec)
            if part.spec in profiled
            else part
            for part in predicted
        ]
        return tuple(sorted([*both, *profiled.values()], key=lambda part: part.dearness, reverse=True))

    @property
    def by_class(self) -> tuple[Part, ...]:
        """The parts by class, dearest first."""
        names = dict.fromkeys(part.unit_class for part in self.parts)
        classes = [
            _together(name, name, [part for part in self.parts if part.unit_class == name]) for name in names
        ]
        return tuple(sorted(classes, key=lambda part: part.dearness, reverse=True))

    def dearest(self, n: int) -> tuple[Part, ...]:
        """Return the ``n`` dearest parts, and what all others are together."""
        kept, others = self.parts[:n], self.parts[n:]
        rest = [_together(f"{len(others)} others", "", others)] if others else []
        return (*kept, *rest)

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known to read it, a line each."""
        return tuple(note for note in (self._of_prediction(), self._of_rows(), self._of_profile()) if note)

    def to_json(self) -> dict[str, Json]:
        """Return everything by name; milliseconds, and shares of 0..1."""
        return {
            "predicted_ms": _ms(self.predicted_s),
            "measured_ms": self.at_table_speed_s * 1e3,
            "profiled_ms": _ms(self.profiled_s),
            "uncorrected_ms": self.measured_s * 1e3,
            "notes": list(self.notes),
            "by_class": [self._part_json(part) for part in self.by_class],
            "parts": [self._part_json(part) for part in self.parts],
        }

    def predicted_share(self, part: Part) -> float | None:
        """Return which share of what is predicted a part has, 0..1."""
        return _share(part.predicted_s, self.predicted_s)

    def profiled_share(self, part: Part) -> float | None:
        """Return which share of what was profiled a part has, 0..1."""
        return _share(part.profiled_s, self.profiled_s)

    def _predicted(self) -> Iterator[Part]:
        if self.prediction is None or not self.prediction.terms:
            return
        terms = self.prediction.terms
        call_s = self.prediction.latency_s - math.fsum(term.total_s for term in terms)
        yield Part(CALL, CALL, units=0, predicted_s=call_s)
        yield from map(_of_term, terms)

    def _profiled(self) -> Iterator[Part]:
        """Yield what the profiler timed, equal ones together."""
        names = dict.fromkeys(time.unit or time.operator for time in self.times)
        for name in names:
            own = [time for time in self.times if (time.unit or time.operator) == name]
            yield Part(
                unit_text(name) if isinstance(name, OpSpec) else name,
                unit_class(name) if isinstance(name, OpSpec) else _class_of(name),
                name if isinstance(name, OpSpec) else None,
                profiled_count=len(own),
                profiled_s=math.fsum(time.mean_s for time in own),
            )

    def _of_prediction(self) -> str:
        if self.prediction is not None and not self.prediction.terms:
            return "the table is of whole networks: of their parts it predicts nothing"
        unmeasured = sum(part.unmeasured for part in self.parts)
        if not unmeasured:
            return ""
        return f"* {unmeasured} units were never measured: others of their class tell what they cost"

    def _of_rows(self) -> str:
        """Say why predicted and profiled rows do not meet, where they do not."""
        if self.predicted_s is None or self.profiled_s is None:
            return ""
        if not any(part.spec is not None and is_unit(part.spec) for part in self._predicted()):
            return "the table is of operations, the profile of what the runtime makes of them: rows differ"
        apart = sum(part.profiled_s is not None and part.predicted_s is None for part in self.parts)
        return f"{apart} of the profiler's rows are none of the predicted units" if apart else ""

    def _of_profile(self) -> str:
        if self.profiled_s is None:
            return f"no profile: {self.why_unprofiled}" if self.why_unprofiled else ""
        more = (self.profiled_s / self.measured_s - 1) * 100
        text = (
            f"the profiler's sum is {self.profiled_s * 1e3:.4f} ms, measured without it "
            f"{self.measured_s * 1e3:.4f} ms ({more:+.0f} %)"
        )
        return f"{text}: to time each operator costs time itself" if more > 0 else text

    def _part_json(self, part: Part) -> dict[str, Json]:
        return {
            "name": part.name,
            "class": part.unit_class,
            "spec": None if part.spec is None else str(part.spec),
            "units": part.units,
            "unmeasured": part.unmeasured,
            "predicted_count": part.predicted_count,
            "predicted_ms": _ms(part.predicted_s),
            "predicted_share": self.predicted_share(part),
            "profiled_count": part.profiled_count,
            "profiled_ms": _ms(part.profiled_s),
            "profiled_share": self.profiled_share(part),
        }


def _of_term(term: Term) -> Part:
    spec = term.spec
    return Part(
        unit_text(spec),
        unit_class(spec) if is_unit(spec) else spec.kind,
        spec,
        predicted_count=term.count,
        predicted_s=term.total_s,
        unmeasured=0 if term.is_measured else 1,
    )


def _together(name: str, of_class: str, parts: Sequence[Part], spec: OpSpec | None = None) -> Part:
    """Return several parts as one; those of one ``spec`` are one unit."""
    return Part(
        name,
        of_class,
        spec,
        1 if spec is not None else sum(part.units for part in parts),
        sum(part.predicted_count for part in parts),
        _sum(part.predicted_s for part in parts),
        sum(part.profiled_count for part in parts),
        _sum(part.profiled_s for part in parts),
        sum(part.unmeasured for part in parts),
    )


def _class_of(operator: str) -> str:
    text = operator.lower()
    return next((name for name, pattern in _CLASSES if pattern.search(text)), "rest")


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def _share(part_s: float | None, whole_s: float | None) -> float | None:
    return None if part_s is None or not whole_s else part_s / whole_s


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
