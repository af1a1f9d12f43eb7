"""``cars-hw export``: write members of a run's front as verified ONNX files."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._output import print_table, progress, say
from devices._errors import ExportError


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    pick: Annotated[
        list[str] | None,
        typer.Option(help="knee, fastest, most-accurate, smallest, all, or a member's number; repeatable."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of the files; RUN/export if left out.")
    ] = None,
    scale: Annotated[
        str,
        typer.Option(help="deploy: the network that the run deploys; search: the small one that it trained."),
    ] = "deploy",
) -> None:
    """Write members of the front to ONNX, verified against torch, each with a model card."""
    from cars_hw.cli._exporting import export_member, restored_trainer
    from cars_hw.runs import Run

    if scale not in ("search", "deploy"):
        raise typer.BadParameter(f"{scale!r} is neither search nor deploy", param_hint="--scale")
    opened = Run.open(run)
    trainer, generation = restored_trainer(opened)
    if scale == "deploy" and not trainer.space.deploys_search_graph:
        raise ExportError(
            "the run has weights for the search graph, not for the larger network that it deploys: retrain "
            "that first (cars-hw retrain, not in this version), or write the search network: --scale search"
        )
    picks = pick or ["knee"]
    if "all" in picks:
        picks = [str(i) for i in range(len(generation.front))]
    with progress() as bars:
        exports = [
            export_member(opened, trainer, generation, name, to or run / "export")
            for name in bars.track(picks, description="exporting")
        ]
    print_table(
        ["pick", "file", "error", "largest difference to torch"],
        [
            [name, str(done.path), f"{done.error:.4f}", f"{done.max_difference:.1e}"]
            for name, done in zip(picks, exports, strict=True)
        ],
    )
    say("next: cars-hw bench FILE")
