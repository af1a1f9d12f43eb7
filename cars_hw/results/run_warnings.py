"""Warnings of a run: what makes its result less than it looks like, by its record and its tables.

The terminal, ``--json``, the page and model cards show these; nothing else decides what is a warning.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cars_hw.assembly import make_space, table_trusts
from cars_hw.candidate import Candidate
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import contents_of
from cars_hw.latency.model import condition_notes
from cars_hw.ledger import Json
from cars_hw.objectives import bound_text
from cars_hw.results.measured import as_measured, shown
from cars_hw.runs import Amendment, Run, is_limit
from cars_hw.saving.record import Generation, Record
from latency_tables import LatencyTable, TableError

#: A training loss this many times that of guessing has diverged; that of fresh weights is 1.1 times at most.
_DIVERGED_TIMES = 1.5
#: So has one that rose by this share of it over its least: batches and paths alone move it by a tenth.
_DIVERGED_RISE = 0.5


@dataclass(frozen=True)
class RunWarning:
    """One reason to distrust a run.

    Attributes:
        kind: What it is about, for programs.
        text: One line that says it, with figures.
    """

    kind: Literal[
        "limits",
        "chance",
        "skipped_steps",
        "diverged",
        "extended",
        "amended",
        "table",
        "precision",
        "conditions",
        "session",
    ]
    text: str

    def __str__(self) -> str:
        return f"warning: {self.text}"

    def to_json(self) -> dict[str, Json]:
        """Return kind and text by name."""
        return {"kind": self.kind, "text": self.text}


def warnings_of_run(run: Run, record: Record) -> list[RunWarning]:
    """Return the warnings of a run that is read, with what was amended after its newest checkpoint.

    Args:
        run: The run.
        record: What its newest checkpoint says.
    """
    found = warnings_of(run.config, as_measured(run, record), run.amendments)
    written = record.fingerprint.get("configuration")
    links = [amendment.link for amendment in run.amendments]
    later = run.amendments[links.index(written) + 1 :] if written in links else run.amendments
    return [*_about_what_is_to_come(later), *found]


def warnings_of(
    config: SearchConfig, generation: Generation, amendments: Sequence[Amendment] = ()
) -> list[RunWarning]:
    """Return the warnings of a run, those about its members first.

    Args:
        config: The run's resolved configuration.
        generation: Its last one, as it was measured where it was.
        amendments: What was changed since it began.
    """
    return [
        *_about_limits(config, generation),
        *_about_chance(config, generation),
        *_about_skipped_steps(config, generation),
        *_about_divergence(config, generation),
        *_about_extension(config, generation, amendments),
        *_about_trust(config),
        *(RunWarning("conditions", line) for line in generation.changed),
        *_about_entries(config),
    ]


def has_usable_member(config: SearchConfig, generation: Generation) -> bool:
    """Tell whether a member of the front is within all limits and better than chance."""
    chance = _chance_error(config)
    return any(
        member.costs[0] < chance and not excesses(config, generation, member) for member in generation.front
    )


def excesses(config: SearchConfig, generation: Generation, member: Candidate) -> dict[str, float]:
    """Return by how many times ``member`` exceeds each limit that it violates, by the cost's name.

    Of a latency, the upper end of its interval counts, as the search had it or as it was measured.
    """
    limited, limits = generation.limited_of(member), config.all_limits()
    return {name: limited[name] / most for name, most in limits.items() if limited[name] > most}


def excess_text(config: SearchConfig, generation: Generation, member: Candidate, name: str) -> str:
    """Say by how much ``member`` violates the limit of the cost ``name``."""
    cost, bound = generation.costs_of(member)[name], generation.limited_of(member)[name]
    limit, target = config.all_limits()[name], config.latency_targets().get(name)
    by_bound = "" if bound == cost or target is None else f"; {bound_text(target.limit_level)} is {bound:.4g}"
    return f"{name} is {cost:.4g}{by_bound}, {bound / limit:.4g} times the limit of {limit:g}"


def violations_json(config: SearchConfig, generation: Generation, member: Candidate) -> dict[str, Json]:
    """Return the limits that ``member`` violates, each with its cost, the limit, and by how many times.

    Where the limit is held against the upper end of an interval, that is its ``bound``.
    """
    costs, limited, limits = generation.costs_of(member), generation.limited_of(member), config.all_limits()
    found: dict[str, Json] = {}
    for name, times in excesses(config, generation, member).items():
        bound: dict[str, Json] = {} if limited[name] == costs[name] else {"bound": limited[name]}
        found[name] = {"cost": costs[name], **bound, "limit": limits[name], "times": times}
    return found


def _about_limits(config: SearchConfig, generation: Generation) -> list[RunWarning]:
    """Name each limit that members violate, with the cost of the one that comes nearest."""
    found, front, measured = [], generation.front, shown(generation).measured
    for name, limit in config.all_limits().items():
        bounds = {member: generation.limited_of(member)[name] for member in front}
        over = [member for member in front if bounds[member] > limit]
        if over:
            how_many = "no member" if len(over) == len(front) else f"only {len(front) - len(over)}"
            nearest = excess_text(config, generation, min(over, key=bounds.__getitem__), name)
            as_found = " as measured" if name in measured else ""
            text = (
                f"{how_many} of the front's {len(front)} meets {name} <= {limit:g}{as_found}: at the "
                f"nearest, {nearest}"
            )
            found.append(RunWarning("limits", text))
    return found


def _about_chance(config: SearchConfig, generation: Generation) -> list[RunWarning]:
    best, chance = min(member.costs[0] for member in generation.front), _chance_error(config)
    if best < chance:
        return []
    text = f"the best error, {best:.4g}, is no better than chance, {chance:.4g}: nothing was learnt"
    return [RunWarning("chance", text)]


def _about_skipped_steps(config: SearchConfig, generation: Generation) -> list[RunWarning]:
    skipped, taken = (_figure(generation.ledger, name) for name in ("skipped_steps", "steps"))
    # In float16 the scale of the loss halves from 2^16 until gradients are finite, and is tried again later.
    usual = 16 + taken / 1000 if config.training.precision == "float16" else 0
    if skipped <= usual:
        return []
    text = (
        f"{skipped:.0f} of {skipped + taken:.0f} training steps were skipped, since the loss or a gradient "
        "was not finite: a smaller training.learning_rate may help"
    )
    return [RunWarning("skipped_steps", text)]


def _about_extension(
    config: SearchConfig, generation: Generation, amendments: Sequence[Amendment]
) -> list[RunWarning]:
    """Say that an extended search is not one that was planned longer, once it goes beyond its plan."""
    changes = [amendment.change("search.generations") for amendment in amendments]
    planned = next((change.before for change in changes if change), None)
    if not isinstance(planned, int) or generation.index <= planned:
        return []
    text = (
        f"the search was planned for {planned} generations and extended to {config.search.generations}: from "
        f"generation {planned + 1} on, it trains at its final learning rate, "
        f"{config.training.final_learning_rate:g}; one planned for so many would have found another front"
    )
    return [RunWarning("extended", text)]


def _about_what_is_to_come(amendments: Sequence[Amendment]) -> list[RunWarning]:
    """Name changes of tables and limits by which nothing has been judged yet."""
    return [
        RunWarning("amended", f"{change} counts once the search goes on; the front is by the former value")
        for amendment in amendments
        for change in amendment.changes
        if is_limit(change.key) or change.key.endswith(".table")
    ]


def _about_divergence(config: SearchConfig, generation: Generation) -> list[RunWarning]:
    """Judge the mean loss of the last training steps; where too few were taken it is not known."""
    loss, least = (_figure(generation.ledger, name) for name in ("loss", "least_loss"))
    guessing = math.log(make_space(config).classes)
    if not least or loss <= min(_DIVERGED_TIMES * guessing, least + _DIVERGED_RISE * guessing):
        return []
    text = (
        f"the training loss of the last steps is {loss:.4g}; it was {least:.4g} at its least, and is "
        f"{guessing:.4g} by guessing: training has diverged, and a smaller training.learning_rate may help"
    )
    return [RunWarning("diverged", text)]


def _about_trust(config: SearchConfig) -> list[RunWarning]:
    trusts = table_trusts(config).values()
    return [RunWarning("table", trust.text) for trust in trusts if not trust.is_validated]


def _about_entries(config: SearchConfig) -> list[RunWarning]:
    """Tell of each table which entries missed their precision, and of what conditions and speeds they are.

    Entries that the space does not use do not count for its precision.
    """
    space, found = make_space(config), []
    for target in config.searched_targets().values():
        try:
            table = LatencyTable.open(target.table)
        except TableError:
            continue  # what its trust says
        held = [table[spec] for spec in contents_of(space, table).specs if spec in table]
        rough = sum(entry.conditions.get("precision_reached") is False for entry in held)
        if rough:
            text = f"latency table {target.table}: {rough} of {len(held)} entries missed their precision"
            found.append(RunWarning("precision", text))
        about = f"latency table {target.table}"
        found += [RunWarning("conditions", f"{about}: {note}") for note in condition_notes(table)]
        report = table.validation_report()
        if report is not None and report.session is not None and report.session.is_another:
            found.append(RunWarning("session", f"{about} was {report.session}"))
    return found


def _chance_error(config: SearchConfig) -> float:
    """Return the error of guessing, over equally frequent classes."""
    return 1.0 - 1.0 / make_space(config).classes


def _figure(ledger: Mapping[str, Json], name: str) -> float:
    figure = ledger.get(name, 0)
    return float(figure) if isinstance(figure, int | float) else 0.0
