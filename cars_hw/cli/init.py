"""``cars-hw init``: a commented configuration for a space and a data set, which runs."""

from pathlib import Path
from typing import Annotated

import typer

from cars_hw.cli._commands import Command, free_folder, next_commands
from cars_hw.cli._needs import require_known
from cars_hw.cli._options import QuietOption
from cars_hw.cli._output import say
from cars_hw.config import LatencySection
from devices.foundation import ConfigError, replace_file

EXAMPLES = (
    "cars-hw init search.toml --space darts --data digits",
    "cars-hw init search.toml --space nasbench201 --data cifar10 --data-path cifar-10-binary.tar.gz",
)


def init(
    path: Annotated[Path, typer.Argument(help="The configuration to write.")],
    space: Annotated[str, typer.Option("--space", help="Search space.")] = "darts",
    data: Annotated[str, typer.Option("--data", help="Data set.")] = "digits",
    data_path: Annotated[
        Path | None, typer.Option("--data-path", help="Its file or folder, where no package holds it.")
    ] = None,
    strategy: Annotated[str, typer.Option("--strategy", help="Search algorithm.")] = "cars",
    device: Annotated[str, typer.Option("--device", help="Device, NAME[:ADDRESS].")] = "cpu",
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="Runtime; onnxruntime if left out, fake for fake devices.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Write a commented configuration for a space and a data set: small enough to run at once.

    The space is set to the images' channels, size and classes, and deploys the network that is searched.
    """
    from cars_hw.cli._template import configuration, small_space, to_commented_toml

    runtime = runtime or LatencySection.model_validate({"device": device}).runtime
    require_known(device, runtime)
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; name another file, or replace it with --force")
    settings = small_space(space, data, data_path)
    config = configuration(
        space, settings, data=data, data_path=data_path, strategy=strategy, device=device, runtime=runtime
    )
    try:
        replace_file(path, to_commented_toml(config).encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another place") from error
    say(f"wrote {path}")
    named = (f"--config={path}", f"--table={config.latency.table}")
    folder = free_folder(Path("runs", path.stem))
    check: Command = ("data", "check", f"--config={path}")
    look = [check] if config.data.resize else []  # these are images that somebody put together
    say(
        next_commands(
            *look, ("profile", *named), ("table", "validate", *named), ("search", *named, f"--run={folder}")
        )
    )
