"""SearchView: front, spending and time left of a search that goes on, drawn anew as they change."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from cars_hw.cli._output import bars, err
from cars_hw.config import SearchConfig
from cars_hw.ledger import Ledger
from cars_hw.networks.architecture import to_text
from cars_hw.results.forecast import search_left
from cars_hw.results.run_warnings import excesses
from cars_hw.saving.record import Generation
from cars_hw.search import Search
from devices.foundation import printable

#: Lines of a terminal that are no members: heads, spending, bars, and some of what was said before.
_OTHER_LINES = 14
_FEWEST_MEMBERS = 3
#: Redrawn so often: drawing takes time of the training, some milliseconds.
_PER_SECOND = 1


class SearchView:
    """A search as a terminal shows it.

    Args:
        config: Its configuration, for the limits.
        search: The search.
        progress: Bars, not started.
        console: Where it is drawn, for its height.
    """

    def __init__(self, config: SearchConfig, search: Search, progress: Progress, console: Console) -> None:
        self._config, self._search, self._progress, self._console = config, search, progress, console
        schedule = search.schedule
        self._generations = progress.add_task("generations", total=schedule.generations + 1)
        self._steps = progress.add_task("training steps", total=schedule.total_steps)
        self._evaluations = progress.add_task("evaluations", total=None)
        self.update(search.trainer.ledger)

    def update(self, ledger: Ledger) -> None:
        """Take over what was spent."""
        self._progress.update(self._steps, completed=ledger.tried_steps)
        self._progress.update(self._evaluations, completed=ledger.evaluations)

    def count(self) -> None:
        """Take over how many generations are complete."""
        self._progress.update(self._generations, completed=len(self._search.history))

    def __rich__(self) -> Group:
        """Return the front of the last generation, what was spent, and the bars."""
        history = self._search.history
        front: list[RenderableType] = []
        if history:
            front = [_line(str(history[-1])), self._front(history[-1])]
        return Group(*front, self._spending(), self._progress)

    def _front(self, last: Generation) -> Table:
        table = Table()
        for name in ("#", *last.objectives):
            table.add_column(name, justify="right", no_wrap=True)
        has_limits = bool(self._config.all_limits())
        if has_limits:
            table.add_column("limits", no_wrap=True)
        table.add_column("architecture", no_wrap=True, overflow="ellipsis")
        room = max(_FEWEST_MEMBERS, self._console.height - _OTHER_LINES)
        for i, member in enumerate(last.front[:room]):
            over = ", ".join(excesses(self._config, last, member))
            cells = [str(i), *(f"{cost:.6g}" for cost in member.costs)]
            cells += [f"over: {over}" if over else "met"] if has_limits else []
            table.add_row(*(Text(printable(cell)) for cell in (*cells, to_text(member.architecture))))
        if len(last.front) > room:
            table.caption = f"and {len(last.front) - room} more, of lesser accuracy"
        return table

    def _spending(self) -> Text:
        ledger, search = self._search.trainer.ledger, self._search
        left = search_left(search.schedule, ledger, search.history)
        text = (
            f"training {ledger.training_s:.0f} s, {ledger.training_images} images; evaluation "
            f"{ledger.evaluation_s:.0f} s, {ledger.evaluation_images} images; time left: "
            f"{'not known yet' if left is None else left}"
        )
        return _line(text)


def _line(text: str) -> Text:
    return Text(printable(text), no_wrap=True, overflow="ellipsis")


@contextmanager
def search_view(config: SearchConfig, search: Search) -> Iterator[SearchView]:
    """Yield the view of a search, drawn on standard error where that is a terminal, and gone at the end."""
    view = SearchView(config, search, bars(), err)
    view.count()
    if err.quiet or not err.is_terminal:
        yield view
        return
    with Live(view, console=err, refresh_per_second=_PER_SECOND, transient=True):
        yield view
