"""Markup: parts of a page, of which whatever comes from outside is text."""

import html
import io
from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure

COLOUR, FAINT = "#0b6bcb", "#b9c4d0"


def text(value: str) -> str:
    """Return ``value`` as it stands in a page."""
    return html.escape(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a row of names, which is left out where there are no ``columns``."""
    head = "".join(f"<th>{text(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    named = f"<thead><tr>{head}</tr></thead>" if columns else ""
    return f"<table>{named}<tbody>{body}</tbody></table>"


def figure() -> Figure:
    """Return a figure of the size that a page has."""
    return Figure(figsize=(5.2, 3.6), layout="constrained")


def svg(drawn: Figure) -> str:
    """Return a figure as a part of a page."""
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None})
    content = buffer.getvalue()
    return content[content.index("<svg") :]
