"""``cars-hw devices``: what can be measured here, its state, what is wrong with it, and the remedy."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cars_hw.cli._options import JsonOption, QuietOption
from cars_hw.cli._output import print_json, print_table, show_line

if TYPE_CHECKING:
    from profilers import Finding

EXAMPLES = ("cars-hw devices", "cars-hw devices --device android:R58N12ABC --json")


def devices(
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Check this one only, NAME[:ADDRESS]; repeatable.")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List what can be measured here, its state, and what is wrong with it.

    Exit status 1: a device that was named cannot be reached.
    """
    from profilers import look_around, look_at, namesakes, twins

    findings = [look_at(address) for address in device] if device else look_around()
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        _show(findings, [*twins(findings), *namesakes(findings)])
    if device and not all(finding.is_reached for finding in findings):
        raise typer.Exit(1)


def _show(findings: "Sequence[Finding]", remarks: Sequence[str]) -> None:
    columns = ("device", "model", "system", "cores", "state")
    rows = [[str(asdict(finding)[column] or "") for column in columns] for finding in findings]
    print_table(columns, rows)
    for finding in findings:
        for fault in finding.faults:
            show_line(f"{finding.device}: {fault}")
        if finding.heat:
            show_line(f"{finding.device}: {finding.heat}; a reference workload decides whether it is slow")
    for line in remarks:
        show_line(line)
