"""Still pictures of a page: what remains of its charts where no script runs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cars_hw.results.reporting.drawing.elements import Html, element, figure_text, joined

_WIDTH, _HEIGHT = 620, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 26, 40
_TICKS = 6
#: How much room is left around what is drawn, of its extent.
_ROOM = 0.06
#: As many configurations have a colour of their own.
TONES = 6

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        title: With the unit.
        low: Where it begins.
        high: Where it ends; above ``low``.
    """

    title: str
    low: float
    high: float

    @classmethod
    def over(cls, title: str, values: Iterable[float]) -> "Axis":
        """Return the axis that shows all ``values``, with some room."""
        found = list(values) or [0.0, 1.0]
        low, high = min(found), max(found)
        room = ((high - low) or abs(high) or 1.0) * _ROOM
        return cls(title, max(0.0, low - room) if low >= 0 else low - room, high + room)

    @property
    def ticks(self) -> list[float]:
        """Round numbers on it, some six of them."""
        raw = (self.high - self.low) / _TICKS
        base = 10.0 ** math.floor(math.log10(raw))
        step = next(times * base for times in (1, 2, 5, 10) if times * base >= raw * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


@dataclass
class Still:
    """A picture with two axes, to which marks and lines are added, the lowest first.

    Attributes:
        x: From left to right.
        y: From the bottom to the top.
        label: What it shows, for who does not see it.
    """

    x: Axis
    y: Axis
    label: str
    _parts: list[Html] = field(default_factory=list)

    def at(self, point: Point) -> Point:
        """Return where a point lies in the picture."""
        across = (point[0] - self.x.low) / (self.x.high - self.x.low)
        up = (point[1] - self.y.low) / (self.y.high - self.y.low)
        return (
            round(_LEFT + across * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    def marks(self, points: Iterable[Point], name: str, radius: float = 3.8) -> None:
        """Add a circle for each point."""
        for point in points:
            x, y = self.at(point)
            self._parts.append(element("circle", {"class": f"mark {name}", "cx": x, "cy": y, "r": radius}))

    def line(self, points: Sequence[Point], name: str) -> None:
        """Add a line through all points."""
        places = " ".join(f"{x},{y}" for x, y in map(self.at, points))
        if places:
            self._parts.append(element("path", {"class": name, "d": f"M{places}"}))

    def toned(self, number: int, start: int) -> None:
        """Give what was added since there were ``start`` parts the colour with a number."""
        own = self._parts[start:]
        self._parts[start:] = [element("g", {"class": f"tone-{number % TONES}"}, *own)]

    def __len__(self) -> int:
        return len(self._parts)

    def svg(self) -> Html:
        """Return the picture."""
        attributes = {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "role": "img", "aria-label": self.label}
        return element("svg", attributes, self._frame(), *self._parts)

    def _frame(self) -> Html:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        parts = [
            _text(self.y.title, _LEFT, _TOP - 10, "title"),
            _text(self.x.title, right, _HEIGHT - 6, "title end"),
        ]
        for value in self.y.ticks:
            _, y = self.at((self.x.low, value))
            parts += [_line(f"M{_LEFT} {y}H{right}"), _text(figure_text(value), _LEFT - 6, y + 4, "end")]
        for value in self.x.ticks:
            x, _ = self.at((value, self.y.low))
            parts += [_line(f"M{x} {_TOP}V{bottom}"), _text(figure_text(value), x, bottom + 16, "middle")]
        return joined(parts)


def _line(path: str) -> Html:
    return element("path", {"class": "grid", "d": path})


def _text(text: str, x: float, y: float, name: str) -> Html:
    return element("text", {"class": name, "x": x, "y": y}, text)
