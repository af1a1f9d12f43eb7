"""What the verbs share: tables, JSON and progress on the terminal."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cars_hw.results.duration import duration_text
from devices.foundation import printable

#: A pipe has no width of its own.
_PIPE_WIDTH = 160

#: A serial such as "android:B:" is no picture's name: what a message prints can be pasted.
#: Results go to standard output, everything else to standard error, so that a pipe gets results alone.
out = Console(soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
err = Console(stderr=True, soft_wrap=True, emoji=False)


def be_quiet(value: bool) -> bool:
    """Let progress and remarks go nowhere from now on; errors and results are printed all the same."""
    err.quiet = err.quiet or value
    return value


def say(text: str) -> None:
    """Print one line about what is going on."""
    err.print(printable(text), markup=False, highlight=False)


def complain(text: str) -> None:
    """Print the line of an error, whatever else is quiet."""
    sys.stderr.write(f"{printable(text)}\n")


def show_line(text: str) -> None:
    """Print one line of a result."""
    out.print(printable(text), markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print rows of text; columns whose cells are all numbers, or empty, are aligned to the right."""
    table = Table(title=title or None, title_justify="left")
    for i, column in enumerate(columns):
        is_number = all(_is_number(row[i]) for row in rows if row[i])
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    out.print(table)


class _TimeLeft(TimeRemainingColumn):
    """The estimate of what is shown, where it makes one; else by the pace so far."""

    def render(self, task: Task) -> Text:
        """Return the text of one bar."""
        if "seconds_left" not in task.fields:
            return super().render(task)
        left_s = task.fields["seconds_left"]
        known = f"about {duration_text(left_s)}" if left_s else "0 s" if left_s == 0 else "?"
        return Text(known, style="progress.remaining")


def is_interactive() -> bool:
    """Tell whether bars can be seen: elsewhere, lines tell of progress."""
    return err.is_terminal


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress bars with the time left, on standard error; they vanish in a pipe."""
    with bars() as shown:
        yield shown


def bars() -> Progress:
    """Return progress bars with the time left, not started."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        _TimeLeft(),
    )
    return Progress(*columns, console=err, disable=err.quiet or not err.is_terminal)


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().rstrip("%").replace(",", "").split(" ")[0] or "x")
    except ValueError:
        return False
    return True
