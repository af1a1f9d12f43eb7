"""Settings of a space, which may come from a file: checked once, named in what is refused."""

from collections.abc import Mapping

from devices.foundation import ConfigError

#: Smallest and largest value of a setting, and the step between values.
Range = tuple[int, int, int]


def check_option(space: str, name: str, value: object, options: tuple[str, ...]) -> None:
    """Refuse a setting that is none of ``options``.

    Raises:
        ConfigError: Naming the setting, the value and the options.
    """
    if value not in options:
        raise ConfigError(f"{name} is {value!r:.64}; the space {space} has {', '.join(options)}")


def check_sizes(space: str, sizes: Mapping[str, object], ranges: Mapping[str, Range]) -> None:
    """Refuse sizes that are no whole numbers of their range.

    Raises:
        ConfigError: Naming the setting, the value and the range.
    """
    for name, value in sizes.items():
        low, high, step = ranges[name]
        if not isinstance(value, int) or not low <= value <= high or value % step:
            multiple = f", a multiple of {step}" if step > 1 else ""
            raise ConfigError(f"{name} is {value!r:.64}; the space {space} takes {low}..{high}{multiple}")
