"""What ``search`` and ``demo`` share: a search with progress bars, and its front as a table."""

import shlex
from collections.abc import Collection

from cars_hw.assembly import open_search
from cars_hw.cli._commands import trust_lines
from cars_hw.cli._output import print_table, progress, say
from cars_hw.ledger import Ledger
from cars_hw.networks.architecture import to_text
from cars_hw.record import Generation
from cars_hw.results import spending
from cars_hw.results.forecast import Announcements, schedule_text
from cars_hw.runs import Run
from cars_hw.search import Search


def run_search(
    run: Run, *, allow_infeasible: bool = False, allow_changed: Collection[str] = ()
) -> Generation:
    """Search to the end of the schedule, from the newest checkpoint on; return the last generation."""
    search = open_search(run, allow_infeasible=allow_infeasible, allow_changed=allow_changed)
    for line in trust_lines(run.config.allowing(allow_changed)):
        say(line)
    for line in _going_on_lines(run, search):
        say(line)
    if len(search.history) <= search.schedule.generations:
        say(schedule_text(search.schedule, search.history))
    with progress() as bars:
        generations = bars.add_task("generations", total=search.schedule.generations + 1)
        steps = bars.add_task("training steps", total=search.schedule.total_steps)
        evaluations = bars.add_task("evaluations", total=None)

        told = Announcements(search.schedule, say)

        def show(ledger: Ledger) -> None:
            told.step(ledger)
            bars.update(steps, completed=ledger.steps + ledger.skipped_steps)
            bars.update(evaluations, completed=ledger.evaluations)

        search.trainer.ledger.listener = show
        bars.update(generations, completed=len(search.history))
        for generation in search.run():
            bars.advance(generations)
            say(f"{generation} ({generation.seconds:.0f} s)")
            told.generation(search.trainer.ledger, search.history)
    return search.history[-1]


def _going_on_lines(run: Run, search: Search) -> list[str]:
    """Return where a search goes on; where it is finished, how it is extended, if it can be."""
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


def print_front(generation: Generation) -> None:
    """Print the front, most accurate first."""
    print_table(
        ["#", *generation.objectives, "architecture"],
        [
            [str(i), *(f"{cost:.6g}" for cost in member.costs), to_text(member.architecture)]
            for i, member in enumerate(generation.front)
        ],
        title=f"front after generation {generation.index}",
    )


def print_spending(generation: Generation) -> None:
    """Print what the search cost, as it was and as published costs are counted."""
    columns, rows = spending.table(generation.ledger, generation.index + 1)
    print_table(columns, rows, title="what was spent (published costs count one evaluation a generation)")
