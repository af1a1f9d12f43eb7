"""The configuration of a search: TOML with overrides, checked before anything runs, saved as resolved."""

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from cars_hw.training_plan import TrainingPlan
from devices.foundation import ConfigError, UnknownNameError

_MAX_BYTES = 1 << 20

#: The largest integer of TOML 1.0.
_MAX_SEED = 2**63 - 1

ObjectiveName = Literal["error", "parameters", "macs", "latency_ms"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _PluginSection(BaseModel):
    """A plug-in by name; every further key is a setting of its own, which it checks itself."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def settings(self) -> dict[str, JsonValue]:
        """The further keys."""
        return dict(self.model_extra or {})


class SpaceSection(_PluginSection):
    """Which search space.

    Attributes:
        name: A file of ``cars_hw/spaces``, or a module from outside, with a dot.
    """

    name: str = "darts"


class StrategySection(_PluginSection):
    """Which search algorithm.

    Attributes:
        name: A file of ``cars_hw/strategies``, or a module from outside, with a dot.
    """

    name: str = "cars"


class DataSection(_Section):
    """Which images.

    Attributes:
        name: A data set.
        path: The file or folder that holds it, where no installed package does.
        fitness_images: How many of them judge architectures.
        image_size: Zeros are added around each image up to this size; its own size if left out.
        seed: Of the split.
    """

    name: str = "mnist5k"
    path: str | None = None
    fitness_images: int = Field(default=1000, ge=1)
    image_size: int | None = Field(default=None, ge=1, le=1024)
    seed: int = Field(default=0, ge=0, le=_MAX_SEED)


class SearchSection(_Section):
    """How long, and for what.

    Attributes:
        objectives: Costs to minimise; the first is the error.
        warm_up_epochs: Passes over the training images on uniform random paths.
        epochs_per_generation: Passes in each generation.
        generations: Generations after warm-up.
        seed: Of everything random in the search.
        screening: Whether of many architectures that are drawn those few are evaluated that known costs and a
            model of the error promise most of; if left out, as the strategy says.
        torch_device: Where weights are trained, as torch names it.
    """

    objectives: tuple[ObjectiveName, ...] = ("error", "parameters", "latency_ms")
    warm_up_epochs: float = Field(default=50, ge=0, le=1e6)
    epochs_per_generation: float = Field(default=10, ge=0, le=1e6)
    generations: int = Field(default=45, ge=0, le=100_000)
    screening: bool | None = None
    seed: int = Field(default=0, ge=0, le=_MAX_SEED)
    torch_device: str = "cpu"


class LatencySection(_Section):
    """On what latency is measured.

    Attributes:
        table: The latency table's file.
        device: A device, ``NAME[:ADDRESS]``.
        runtime: A runtime.
        threads: Threads of one inference.
        settings: Further settings of the runtime, which it checks itself.
        max_latency_ms: Slower architectures are infeasible.
        measured_elsewhere: Whether the table is of another machine than the one that searches; then only the
            kind of its device is compared.
    """

    table: str = "latency.jsonl"
    device: str = "cpu"
    runtime: str = "onnxruntime"
    threads: int = Field(default=1, ge=1, le=1024)
    settings: dict[str, int | str] = Field(default_factory=dict)
    max_latency_ms: float | None = Field(default=None, gt=0)
    measured_elsewhere: bool = False


class SearchConfig(_Section):
    """Everything that decides what a search does."""

    space: SpaceSection = SpaceSection()
    strategy: StrategySection = StrategySection()
    data: DataSection = DataSection()
    training: TrainingPlan = TrainingPlan()
    search: SearchSection = SearchSection()
    latency: LatencySection = LatencySection()

    def profile_command(self) -> str:
        """Return the command that measures what the latency table lacks."""
        return self._table_command("profile")

    def validate_command(self) -> str:
        """Return the command that holds the latency table against whole networks."""
        return self._table_command("table", "validate")

    def _table_command(self, *verb: str) -> str:
        latency = self.latency
        options = [f"--set=space.{name}={value}" for name, value in self.space.settings.items()]
        options += [
            f"--device={latency.device}",
            f"--runtime={latency.runtime}",
            f"--threads={latency.threads}",
            *(f"--set=latency.settings.{name}={value}" for name, value in latency.settings.items()),
        ]
        return shlex.join(
            ["cars-hw", *verb, f"--space={self.space.name}", *options, f"--table={latency.table}"]
        )

    @classmethod
    def load(cls, path: Path | None, overrides: Mapping[str, JsonValue] | None = None) -> Self:
        """Read ``path`` (defaults where ``None``), then set each dotted key of ``overrides``.

        Raises:
            ConfigError: The file cannot be read, or a value is out of bounds.
            UnknownNameError: A key that does not exist.
        """
        values = _read_toml(path) if path else {}
        for key, value in (overrides or {}).items():
            _set(values, key.split("."), value)
        try:
            config = cls.model_validate(values)
        except ValidationError as error:
            raise _explained(error, cls) from error
        if config.search.objectives[:1] != ("error",) or len(set(config.search.objectives)) < 2:
            raise ConfigError(
                f"search.objectives is {list(config.search.objectives)}; "
                "name error first, and at least one other"
            )
        if config.latency.max_latency_ms is not None and "latency_ms" not in config.search.objectives:
            raise ConfigError("latency.max_latency_ms needs latency_ms among search.objectives")
        return config

    def to_toml(self) -> str:
        """Return the resolved configuration, as ``load`` reads it."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def with_table(config: SearchConfig, table: str) -> SearchConfig:
    """Return ``config`` with another latency table."""
    return config.model_copy(update={"latency": config.latency.model_copy(update={"table": table})})


def parse_override(text: str) -> tuple[str, JsonValue]:
    """Read ``section.key=value``, the value as TOML where it is that, else as a string.

    Raises:
        ConfigError: There is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"override {text!r} is not of the form section.key=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path} has over {_MAX_BYTES} bytes; that is no configuration")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _set(values: dict[str, Any], keys: Sequence[str], value: JsonValue) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"configuration key {'.'.join(keys)!r}: {key!r} is a value, not a section")
        values = inner
    values[keys[-1]] = value


def _explained(error: ValidationError, model: type[BaseModel]) -> ConfigError | UnknownNameError:
    """Turn pydantic's first complaint into one line that names the key, the value and what is allowed."""
    first = error.errors()[0]
    *sections, key = map(str, first["loc"]) if first["loc"] else [""]
    if first["type"] == "extra_forbidden":
        for section in sections:
            inner = model.model_fields[section].annotation
            model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else model
        return UnknownNameError("configuration key", ".".join([*sections, key]), _dotted(sections, model))
    return ConfigError(f"configuration key {'.'.join([*sections, key])} = {first['input']!r}: {first['msg']}")


def _dotted(sections: Sequence[str], model: type[BaseModel]) -> list[str]:
    return [".".join([*sections, name]) for name in model.model_fields]
