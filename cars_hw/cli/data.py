"""``cars-hw data``: images before they are searched on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cars_hw.cli._help import HELP, epilog
from cars_hw.cli._needs import require_given
from cars_hw.cli._options import ConfigOption, JsonOption, QuietOption, SetOption, resolve
from cars_hw.cli._output import is_interactive, print_json, print_table, progress, show_line
from cars_hw.cli._statuses import FAILED
from cars_hw.errors import DataError

if TYPE_CHECKING:
    from cars_hw.data import Check, Finding

EXAMPLES = {
    "check": (
        "cars-hw data check --data folder --data-path photos",
        "cars-hw data check --config search.toml --json",
    )
}
#: Findings of one kind that are shown; ``--json`` has all.
_MOST_SHOWN = 20

data = typer.Typer(
    no_args_is_help=True,
    context_settings=HELP,
    help="Look at images before they are searched on.",
    epilog=epilog(EXAMPLES["check"]),
)


@data.callback()
def _options() -> None:
    """Keep ``check`` a word of its own, though it is the only one."""


@data.command(epilog=epilog(EXAMPLES["check"]))
def check(
    config: ConfigOption = None,
    overrides: SetOption = None,
    name: Annotated[str | None, typer.Option("--data", help="Data set.")] = None,
    data_path: Annotated[
        Path | None, typer.Option("--data-path", help="Its file or folder, where no package holds it.")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decode every image; tell how many each class has, how large they are, what is not used, and why.

    Exit status 1: an image would be lost, or there is none. What is no image, or litter, is no reason.
    """
    from cars_hw.data import check as check_images

    require_given("data check", config, overrides, data__data=name)
    section = resolve(config, overrides, data__name=name, data__path=data_path).data
    with progress() as bars:
        bar = bars.add_task("images", total=None) if is_interactive() else None

        def progressed(done: int, of: int) -> None:
            if bar is not None:
                bars.update(bar, completed=done, total=of)

        rule = section.rule()
        found = check_images(section.name, section.path, progressed, rule, **section.settings)
    if json:
        print_json(found.to_json())
    elif not found.parts:
        raise DataError(str(found.problems[0]))
    else:
        _show(found)
    if not found.is_usable:
        raise typer.Exit(FAILED)


def _show(found: "Check") -> None:
    parts = list(found.parts)
    names = dict.fromkeys(label for counts in found.parts.values() for label in counts)
    if names:
        rows = [[label, *(str(found.parts[part].get(label, 0)) for part in parts)] for label in names]
        print_table(("class", *parts), rows, title=f"{found.name}: {found.images} images")
    if found.sizes:
        show_line(_sizes_text(found))
    if found.kinds:
        show_line(f"pixels: {', '.join(f'{n} {kind}' for kind, n in sorted(found.kinds.items()))}")
    _show_findings("skipped", found.skipped)
    _show_findings("problem", found.problems)
    show_line("every image can be used" if found.is_usable else f"problems: {len(found.problems)}")


def _sizes_text(found: "Check") -> str:
    """Return how large the images are, height before width."""
    if len(found.sizes) == 1:
        [(height, width)] = found.sizes
        return f"size: {height}x{width}"
    heights, widths = zip(*found.sizes, strict=True)
    (height, width), n = max(found.sizes.items(), key=lambda item: item[1])
    return (
        f"sizes: {len(found.sizes)}, {min(heights)} to {max(heights)} high, {min(widths)} to {max(widths)} "
        f"wide; most often {height}x{width} ({n}); set data.image_size and data.resize"
    )


def _show_findings(what: str, findings: "tuple[Finding, ...]") -> None:
    for finding in findings[:_MOST_SHOWN]:
        show_line(f"{what}: {finding}")
    if len(findings) > _MOST_SHOWN:
        show_line(f"{what}: {len(findings) - _MOST_SHOWN} more, which --json lists")
