"""Elements of a page. Text is text: nothing becomes markup but what was made here."""

import html
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from cars_hw.results.reporting.run_model import Interval, Number, Quantity

#: They have no content, and no end.
_VOID = frozenset(("meta", "path", "rect", "circle", "line"))
#: Whole numbers from here on are written in groups of three digits.
_GROUPED = 10_000
#: Above it, a number is written without an exponent, as JavaScript does.
_PLAIN = 1e-6

Attributes = Mapping[str, str | int | float | bool]


class Html(str):
    """Markup, made of elements and of escaped text."""

    __slots__ = ()


def element(tag: str, attributes: Attributes | None = None, *children: str) -> Html:
    """Return an element.

    Args:
        tag: Its name.
        attributes: By name; ``True`` stands without a value, ``False`` is left out.
        children: What is in it: markup as it is, any other text escaped.
    """
    named = "".join(
        f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
        for name, value in (attributes or {}).items()
        if value is not False
    )
    if tag in _VOID:
        return Html(f"<{tag}{named}/>")
    return Html(f"<{tag}{named}>{joined(children)}</{tag}>")


def joined(children: Iterable[str]) -> Html:
    """Return all ``children`` in a row: markup as it is, any other text escaped."""
    return Html("".join(each if isinstance(each, Html) else html.escape(each) for each in children))


def figure_text(value: Number) -> str:
    """Write a number of the page's data: all of its digits, whole ones in groups of three."""
    if isinstance(value, int) or value.is_integer():
        text = str(int(value))
        return f"{int(value):,}".replace(",", "\u202f") if abs(value) >= _GROUPED else text
    return format(Decimal(repr(value)), "f") if abs(value) >= _PLAIN else repr(value)


def with_unit(value: Number, unit: str) -> str:
    """Write a number with its unit; a share and a count have none."""
    return figure_text(value) if unit in ("", "share") else f"{figure_text(value)}\u00a0{unit}"


def interval_text(ends: Interval) -> str:
    """Write both ends of an interval."""
    return f"{figure_text(ends[0])} to {figure_text(ends[1])}"


def heading(quantity: Quantity) -> str:
    """Return what a column or an axis is called: the label, and the unit behind it."""
    unit = "share of images" if quantity.unit == "share" else quantity.unit
    return f"{quantity.label}, {unit}" if unit else quantity.label


def table(
    caption: str,
    columns: Iterable[str],
    rows: Iterable[Html],
    *,
    texts: Collection[str] = (),
    tall: bool = False,
    sortable: bool = False,
) -> Html:
    """Return a table that scrolls by itself where it is too wide.

    Args:
        caption: What it shows; read aloud, and seen.
        columns: Names of the columns.
        rows: As ``row`` returns them.
        texts: Those columns that hold text, which begins at the left.
        tall: Whether it scrolls where it is too high, too.
        sortable: Whether the script may let people sort it.
    """
    head = element("tr", {}, *(_head(name, name in texts) for name in columns))
    content = element(
        "table",
        {"data-sortable": sortable},
        element("caption", {}, caption),
        element("thead", {}, head),
        element("tbody", {}, *rows),
    )
    name = "scroll tall" if tall else "scroll"
    return element("div", {"class": name, "tabindex": "0", "role": "region", "aria-label": caption}, content)


def _head(name: str, is_text: bool) -> Html:
    return element("th", {"scope": "col", **({"class": "text"} if is_text else {})}, name)


def cell(text: str, kind: str = "", value: Number | None = None) -> Html:
    """Return a cell: ``kind`` is ``"text"``, ``"long"`` or nothing, ``value`` what a column is sorted by."""
    attributes: dict[str, str | int | float] = {"class": kind} if kind else {}
    if value is not None:
        attributes["data-value"] = value
    return element("td", attributes, text)


def row(name: str, cells: Iterable[Html], attributes: Attributes | None = None) -> Html:
    """Return a row of a table: ``name`` says what it is of."""
    return element("tr", attributes, element("th", {"scope": "row"}, name), *cells)


def figures(values: Iterable[Number | None]) -> list[Html]:
    """Return cells of numbers; what is not known stays empty."""
    return [cell("" if value is None else figure_text(value), "", value) for value in values]
