"""Exit statuses: what a script can tell from them. docs/troubleshooting.md lists them."""

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from cars_hw.cli._output import complain

if TYPE_CHECKING:
    from cars_hw.results.run_warnings import RunWarning
    from cars_hw.runs import Run
    from cars_hw.saving.record import Generation

#: It was done.
DONE = 0
#: An error of ours, in one line: nothing, or not all, was done.
FAILED = 1
#: A word or an option of the command line that does not exist or is missing.
WRONG_USAGE = 2
#: A search that ended well, but whose front has no member that is usable.
NOTHING_USABLE = 3
#: Ended by Ctrl-C, and by a plain ``kill``, as shells count these.
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


def require_usable(run: "Run", generation: "Generation", warnings: "Sequence[RunWarning]") -> None:
    """End with ``NOTHING_USABLE`` where no member of the front is usable.

    Args:
        run: The run.
        generation: Its last one.
        warnings: Those of the run; the first says why.
    """
    from cars_hw.results.run_warnings import has_usable_member

    if not has_usable_member(run.config, generation):
        complain(f"cars-hw: no member of the front is usable: {warnings[0].text}")
        raise typer.Exit(NOTHING_USABLE)
