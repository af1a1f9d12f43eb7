"""What ``search`` and ``demo`` share: a search with progress bars that signals end, its front as a table."""

import shlex
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import typer

from cars_hw.assembly import open_search
from cars_hw.cli._commands import explained, trust_lines
from cars_hw.cli._interruption import Interrupt, name_of, taken_by
from cars_hw.cli._live.search_view import search_view
from cars_hw.cli._measuring import measuring_bars
from cars_hw.cli._output import complain, print_table, say
from cars_hw.ledger import Ledger
from cars_hw.networks.architecture import to_text
from cars_hw.results import spending
from cars_hw.results.forecast import Announcements, schedule_text
from cars_hw.results.measured import (
    MeasuredGeneration,
    as_measured,
    front_forecast,
    measure_front,
    shown,
)
from cars_hw.runs import Run
from cars_hw.saving.record import Generation
from cars_hw.saving.safe_points import Budget
from cars_hw.search import Search
from devices import DeviceError
from latency_tables import TableError
from profilers import ProfilingError


def run_search(
    run: Run,
    *,
    command: Sequence[str],
    budget: Budget | None = None,
    allow_infeasible: bool = False,
    allow_changed: Collection[str] = (),
    measure_budget_s: float = 0.0,
    workers: int | None = None,
    executor: str = "",
    on_generation: Callable[[Generation], None] = lambda _: None,
) -> Search:
    """Search to the end of the schedule or of the budget, from the newest checkpoint on.

    Args:
        run: The folder.
        command: The arguments of ``cars-hw`` that go on with it, for the line at an interrupt.
        budget: What may be spent; anything if not given.
        allow_infeasible: Whether to begin though no network meets the limits.
        allow_changed: What may have changed since the tables were measured.
        measure_budget_s: Seconds that may be spent on measuring members of fronts.
        workers: How many networks are evaluated at once; ``None``: as pays.
        executor: Where; in processes of this machine if not given.
        on_generation: Called with each generation, once it is saved.

    Raises:
        typer.Exit: A signal ended it.
    """
    search = open_search(
        run,
        allow_infeasible=allow_infeasible,
        allow_changed=allow_changed,
        measure_budget_s=measure_budget_s,
        workers=workers,
        executor=executor,
    )
    for line in trust_lines(run.config.allowing(allow_changed)):
        say(line)
    for line in _going_on_lines(run, search):
        say(line)
    if len(search.history) <= search.schedule.generations:
        say(schedule_text(search.schedule, search.history))
    with _ended_by_signals(search, command):
        _show_rounds(run, search, budget or Budget(), on_generation)
    return search


def go_on_line(search: Search, command: Sequence[str]) -> str:
    """Return what is kept of a search that ended early, and the command that goes on with it."""
    return f"kept: {search.kept or 'nothing yet'}; go on with: {shlex.join(['cars-hw', *command])}"


def _show_rounds(
    run: Run, search: Search, budget: Budget, on_generation: Callable[[Generation], None]
) -> None:
    with search_view(run.config, search) as view:
        told = Announcements(search.schedule, say)

        def show(ledger: Ledger) -> None:
            told.step(ledger)
            view.update(ledger)

        search.trainer.ledger.listener = show
        show(search.trainer.ledger)
        rounds = search.run(max_evaluations=budget.max_evaluations, max_time_s=budget.max_time_s)
        for generation in rounds:
            view.count()
            say(f"{generation} ({generation.seconds:.0f} s)")
            told.generation(search.trainer.ledger, search.history)
            on_generation(generation)


@contextmanager
def _ended_by_signals(search: Search, command: Sequence[str]) -> Iterator[None]:
    """Let a first signal end ``search`` at its next safe point, a second one at once: with a line."""
    received: list[int] = []

    def take(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise Interrupt
        search.request_end()

    with taken_by(take):
        try:
            yield
        except KeyboardInterrupt:
            received.append(signal.SIGINT)
            raise _exit(search, command, received[0]) from None
    if search.ended_by == "request":
        raise _exit(search, command, (received or [signal.SIGINT])[0])


def _exit(search: Search, command: Sequence[str], number: int) -> typer.Exit:
    complain(f"cars-hw: {name_of(number)}: {go_on_line(search, command)}")
    return typer.Exit(128 + number)


def _going_on_lines(run: Run, search: Search) -> list[str]:
    """Return where a search goes on; where it is finished, how it is extended, if it can be."""
    if search.kept is not None and not search.kept.is_complete:
        return [f"going on in {search.kept}, of {search.schedule.generations} generations"]
    if not search.history:
        return []
    done, planned = search.history[-1].index, search.schedule.generations
    if done < planned:
        return [f"going on after generation {done} of {planned}"]
    if search.strategy.plans_by_rounds:
        return [
            f"the search is finished: all {planned} generations are done; {run.config.strategy.name} plans "
            "by their number, so that a longer search is another one, in another folder"
        ]
    longer = ("search", "--run", str(run.path), "--resume", "--generations", str(max(2 * planned, 1)))
    return [
        f"the search is finished: all {planned} generations are done; to extend it, run "
        f"`{shlex.join(['cars-hw', *longer])}`"
    ]


def measured_front(run: Run, *, command: Sequence[str], allow_changed: Collection[str]) -> MeasuredGeneration:
    """Measure what is not yet measured of the final front, and return it; say why where that is not possible.

    Args:
        run: The run, whose search is finished.
        command: The arguments of ``cars-hw`` that try again.
        allow_changed: What may have changed since the tables were measured.
    """
    try:
        forecast = front_forecast(run)
        if forecast.networks:
            say(f"measuring the front: {forecast}")
        with measuring_bars("members of the front and anchors") as show:
            return measure_front(run, allow_changed=allow_changed, on_progress=show)
    except (DeviceError, ProfilingError, TableError) as error:
        again = shlex.join(["cars-hw", *command])
        say(f"the front was not measured: {explained(error)}; to try again, run `{again}`")
        return as_measured(run, run.record())


def print_front(generation: Generation) -> None:
    """Print the front, measured latencies beside predicted ones, and what its members are compared by."""
    last = shown(generation)
    print_table(
        ["#", *last.columns(), "architecture"],
        [[str(i), *last.cells(member), to_text(member.architecture)] for i, member in enumerate(last.front)],
        title=f"front after generation {last.index}",
    )
    for line in (last.front.compared_by, *last.speed_lines()):
        if line:
            say(line)


def print_spending(generation: Generation) -> None:
    """Print what the search cost, as it was and as published costs are counted."""
    columns, rows = spending.table(generation.ledger, generation.index + 1)
    print_table(columns, rows, title="what was spent (published costs count one evaluation a generation)")
