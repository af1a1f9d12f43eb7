"""``cars-hw export``: write members of a run's front as verified ONNX files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cars_hw.cli._options import JsonOption
from cars_hw.cli._output import print_json, print_table, progress, say


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    pick: Annotated[
        list[str] | None,
        typer.Option(
            help="knee, fastest, most-accurate, smallest, spread:N, all, or a member's number; repeatable."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of the files; RUN/export if left out.")
    ] = None,
    scale: Annotated[
        Literal["deploy", "search"],
        typer.Option(help="deploy: the network that the run deploys; search: the small one that it trained."),
    ] = "deploy",
    json: JsonOption = False,
) -> None:
    """Write members of the front to ONNX, verified against torch, each with a model card."""
    from cars_hw.cli._exporting import export_member, restored_trainer
    from cars_hw.picks import expanded
    from cars_hw.runs import Run

    opened = Run.open(run)
    trainer, record = restored_trainer(opened)
    picks = expanded(record.history[-1].front, pick or ["knee"])
    with progress() as bars:
        exports = [
            export_member(opened, trainer, record, name, folder=to or run / "export", scale=scale)
            for name in bars.track(picks, description="exporting")
        ]
    if json:
        print_json({name: done.to_json() for name, done in zip(picks, exports, strict=True)})
        return
    print_table(
        ["pick", "file", "error", "largest difference to torch"],
        [
            [name, str(done.path), f"{done.error:.4f}", f"{done.max_difference:.1e}"]
            for name, done in zip(picks, exports, strict=True)
        ],
    )
    say("next: cars-hw bench FILE")
