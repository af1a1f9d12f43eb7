"""What a verb cannot do without: said in one line, where a default would begin something else."""

from collections.abc import Sequence
from pathlib import Path

from devices.foundation import ConfigError, UnknownNameError


def require_given(verb: str, config: Path | None, overrides: list[str] | None, **options: object) -> None:
    """Refuse to start a verb on defaults alone.

    Args:
        verb: Its words.
        config: The configuration's file; it says all that the verb needs.
        overrides: The values of ``--set``.
        options: Keys of the configuration that the verb needs, ``section__key``, each with the value of the
            option ``--section`` or ``--key`` that stands for it, ``None`` where it was not given.

    Raises:
        ConfigError: There is no configuration, and an option was not given.
    """
    if config is not None:
        return
    set_keys = [text.partition("=")[0].strip() for text in overrides or []]
    missing = [
        f"--{_option(key)}" for key, value in options.items() if value is None and not _is_set(key, set_keys)
    ]
    if missing:
        raise ConfigError(
            f"{verb} needs --config FILE, which init writes, or else {' and '.join(missing)}: there are no "
            "defaults for these"
        )


def require_known(device: str | None, runtime: str | None) -> None:
    """Refuse a device or runtime of ours that does not exist; one from outside is found when it is used.

    Args:
        device: ``NAME[:ADDRESS]``; ``None`` where none was named.
        runtime: Its name, or ``None``.

    Raises:
        UnknownNameError: There is none of that name.
    """
    import devices
    from profilers import runtimes

    kind = None if device is None else device.partition(":")[0]
    for what, name, known in (("device", kind, devices.names()), ("runtime", runtime, runtimes.names())):
        if name is not None and "." not in name and name not in known:
            raise UnknownNameError(what, name, known)


def _is_set(key: str, set_keys: Sequence[str]) -> bool:
    """Tell whether ``--set`` says what ``key`` is; settings of a plug-in say that the usual one is meant."""
    section, _, name = key.partition("__")
    return any(
        one == f"{section}.{name}" or (name == "name" and one.startswith(f"{section}.")) for one in set_keys
    )


def _option(key: str) -> str:
    section, _, name = key.partition("__")
    return section if name == "name" else name
