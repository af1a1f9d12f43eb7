"""The configuration of a search: TOML with overrides, checked before anything runs, saved as resolved."""

import itertools
import math
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from cars_hw.data import Interpolation, ResizeMode, ResizeRule, Split, resize_rule
from cars_hw.weights.retraining_plan import RetrainingPlan
from cars_hw.weights.training_plan import TrainingPlan
from devices.foundation import (
    ConfigError,
    UnknownNameError,
    added,
    before,
    explained,
    read_regular,
    section_type,
)
from latency_tables import Changeable, changeable

MAX_CONFIG_BYTES = 1 << 20

#: The largest integer of TOML 1.0.
_MAX_SEED = 2**63 - 1

#: The objective that a target gives rise to.
LATENCY = "latency_ms"

_TARGET_NAME = r"[A-Za-z0-9_-]{1,32}"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PluginSection(BaseModel):
    """A plug-in by name; every further key is a setting of its own, which it checks itself.

    Attributes:
        name: A file of the plug-ins' folder, or a module from outside, with a dot.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    name: str

    @property
    def settings(self) -> dict[str, JsonValue]:
        """The further keys."""
        return dict(self.model_extra or {})


class SpaceSection(PluginSection):
    """Which search space.

    Attributes:
        name: A file of ``cars_hw/spaces``, or a module from outside, with a dot.
        operation_kinds: Modules from outside that define kinds of operation which the space uses.
    """

    name: str = "darts"
    operation_kinds: tuple[str, ...] = added((), before=())


class StrategySection(PluginSection):
    """Which search algorithm.

    Attributes:
        name: A file of ``cars_hw/strategies``, or a module from outside, with a dot.
    """

    name: str = "cars"


class DataSection(PluginSection):
    """Which images.

    Attributes:
        name: A file of ``cars_hw/data``, or a module from outside, with a dot.
        path: The file or folder that holds it, where no installed package does.
        fitness_images: How many of them judge architectures.
        test_images: How many neither training nor search sees: of those that the data set tells apart, where
            it does, which are otherwise all taken; else of all, of which otherwise none are.
        image_size: Height and width that each image gets, by ``resize``; its own size if left out.
        image_width: Its width, where that is not its height.
        resize: How: ``fit`` scales it until all of it fits, and puts black around; ``crop`` scales it until
            it covers everything, and keeps the middle; ``stretch`` scales height and width apart; ``pad``
            scales nothing, and puts black around. If left out, ``pad`` where all images have one size.
        interpolation: Between pixels, as Pillow does it.
        seed: Seed of the split into training, fitness and test images.
    """

    name: str = "mnist5k"
    path: str | None = None
    fitness_images: int = Field(default=1000, ge=1)
    test_images: int | None = added(None, before=None, ge=1)
    image_size: int | None = Field(default=None, ge=1, le=1024)
    image_width: int | None = added(None, before=None, ge=1, le=1024)
    resize: ResizeMode | None = added(None, before=None)
    interpolation: Interpolation = added("bilinear", before="bilinear")
    seed: int = Field(default=0, ge=0, le=_MAX_SEED)

    @property
    def split(self) -> Split:
        """Which images are for what."""
        return Split(self.fitness_images, self.test_images, self.seed)

    def rule(self) -> ResizeRule | None:
        """Return what all images go through; ``None`` where they keep the size that they have.

        Raises:
            UnknownNameError: There is no such data set.
            ConfigError: Half of a rule is given.
        """
        if self.image_size is None:
            if self.image_width is not None:
                raise ConfigError("data.image_width goes with data.image_size, the height; set that too")
            return resize_rule(self.name, self.resize, None)
        size = (self.image_size, self.image_width or self.image_size)
        return resize_rule(self.name, self.resize, size, self.interpolation)


class SearchSection(_Section):
    """How long, and for what.

    Attributes:
        objectives: Costs to minimise, by name; the first is the error. ``latency_ms`` stands for the latency
            on every target, ``latency_ms.NAME`` for that on one of several. Any other name with a dot is a
            module from outside that defines one.
        warm_up_epochs: Passes over the training images on uniform random paths.
        epochs_per_generation: Passes in each generation.
        generations: Generations after warm-up.
        seed: Seed of everything random in the search.
        screening: Whether of many architectures that are drawn those few are evaluated that known costs and a
            model of the error promise most of; if left out, as the strategy declares, and by limits alone
            where losses joined with sizes stand for errors.
        torch_device: Where weights are trained, as torch names it.
        checkpoint_every_s: Seconds from one checkpoint to the next inside a generation; a kill loses no more
            than that, and a batch.
    """

    objectives: tuple[str, ...] = ("error", "parameters", LATENCY)
    warm_up_epochs: float = Field(default=50, ge=0, le=1e6)
    epochs_per_generation: float = Field(default=10, ge=0, le=1e6)
    generations: int = Field(default=45, ge=0, le=100_000)
    screening: bool | None = None
    seed: int = Field(default=0, ge=0, le=_MAX_SEED)
    torch_device: str = "cpu"
    checkpoint_every_s: float = added(60.0, before=60.0, gt=0)


class LatencySection(_Section):
    """A target: on what latency is measured.

    Attributes:
        table: The latency table's file.
        device: A device, ``NAME[:ADDRESS]``.
        runtime: A runtime; where it is left out, that of the fake device is ``fake``.
        threads: Threads of one inference.
        settings: Further settings of the runtime, which it checks itself.
        max_latency_ms: Slower architectures are infeasible, by the upper end of their latency's interval.
        limit_level: The level of that interval; 0 holds the limit against the latency itself. Runs from
            before there was this key go on by 0.
        allow_changed: What may have changed since the table was measured: ``kernel``, ``build``,
            ``runtime_version``; the ``speed`` of the device, by over a quarter; or the ``device``: then only
            its kind is compared, and it need not be there. ``measured_elsewhere = true`` is an earlier word
            for the last.
    """

    table: str = "latency.jsonl"
    device: str = "cpu"
    runtime: str = "onnxruntime"
    threads: int = Field(default=1, ge=1, le=1024)
    settings: dict[str, bool | int | str] = Field(default_factory=dict)
    max_latency_ms: float | None = Field(default=None, gt=0)
    limit_level: float = added(0.9, before=0.0, ge=0, lt=1)
    allow_changed: tuple[Changeable, ...] = added((), before=())

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_word(cls, values: object) -> object:
        """Read ``measured_elsewhere``, in place of which ``allow_changed`` has ``device``."""
        if not isinstance(values, dict) or "measured_elsewhere" not in values:
            return values
        elsewhere = values["measured_elsewhere"]
        others = {name: value for name, value in values.items() if name != "measured_elsewhere"}
        words = [word for word in others.get("allow_changed", ()) if isinstance(word, str)]
        if not isinstance(elsewhere, bool):
            raise ConfigError(f"measured_elsewhere is {elsewhere!r:.64}; it should be true or false")
        if not elsewhere and "device" in words:
            raise ConfigError("measured_elsewhere = false contradicts device in allow_changed; leave one out")
        return {**others, "allow_changed": changeable([*words, "device"])} if elsewhere else others

    @model_validator(mode="before")
    @classmethod
    def _with_runtime(cls, values: Any) -> Any:
        """Let the fake device have the runtime that alone runs on it, where none is named."""
        if isinstance(values, dict) and values.get("device") == "fake":
            return {"runtime": "fake", **values}
        return values

    @property
    def is_elsewhere(self) -> bool:
        """Whether the table may be of a device that is not at hand."""
        return "device" in self.allow_changed


class SearchConfig(_Section):
    """Everything that decides what a search does.

    Attributes:
        space: Which networks.
        strategy: Which algorithm.
        data: Which images.
        training: How the shared weights are trained.
        search: How long, and for what.
        latency: On what latency is measured, where that is one target without a name.
        targets: The targets by their names, in place of ``latency``.
        limits: The most that costs may be, by the names of objectives; latencies have ``max_latency_ms``.
        retraining: How members of the front are trained from scratch; ``None``: by the plan's defaults.
    """

    space: SpaceSection = SpaceSection()
    strategy: StrategySection = StrategySection()
    data: DataSection = DataSection()
    training: TrainingPlan = TrainingPlan()
    search: SearchSection = SearchSection()
    latency: LatencySection = LatencySection()
    targets: dict[Annotated[str, Field(pattern=f"^{_TARGET_NAME}$")], LatencySection] = added({}, before={})
    limits: dict[str, Annotated[float, Field(gt=0)]] = added({}, before={})
    retraining: RetrainingPlan | None = added(None, before=None)

    def __repr__(self) -> str:
        what = f"{self.strategy.name} on {self.space.name}, {self.data.name}"
        return f"<configuration: {what}; {', '.join(self.objective_names())}>"

    def latency_targets(self) -> dict[str, LatencySection]:
        """Return all targets by the names of their objectives: ``latency_ms``, or ``latency_ms.NAME``."""
        if len(self.targets) > 1:
            return {f"{LATENCY}.{name}": target for name, target in self.targets.items()}
        return {LATENCY: next(iter(self.targets.values()), self.latency)}

    def objective_names(self) -> tuple[str, ...]:
        """Return the names of the costs, with ``latency_ms`` spelled out for several targets.

        ``latency_ms.NAME`` of the only target is its ``latency_ms``.
        """
        named = self.latency_targets()
        of_the_only = {f"{LATENCY}.{name}" for name in self.targets} if len(self.targets) == 1 else set()
        spelled = {LATENCY: tuple(named), **dict.fromkeys(of_the_only, (LATENCY,))}
        names = (spelled.get(name, (name,)) for name in self.search.objectives)
        return tuple(dict.fromkeys(itertools.chain.from_iterable(names)))

    def searched_targets(self) -> dict[str, LatencySection]:
        """Return those of ``latency_targets`` whose latency the search minimises."""
        wanted = self.objective_names()
        return {name: target for name, target in self.latency_targets().items() if name in wanted}

    def all_limits(self) -> dict[str, float]:
        """Return the most that costs may be, those of latencies among them."""
        of_targets = {name: target.max_latency_ms for name, target in self.latency_targets().items()}
        return {name: most for name, most in of_targets.items() if most is not None} | self.limits

    def for_target(self, name: str | None = None) -> Self:
        """Return the configuration with one target alone, as its ``latency``: for whoever measures on it.

        Args:
            name: The name of one of ``targets``; may be left out where there are not several.

        Raises:
            UnknownNameError: There is no such target.
            ConfigError: There are several, and none is named.
        """
        if name is not None and name not in self.targets:
            raise UnknownNameError("target", name, self.targets)
        if name is None and len(self.targets) > 1:
            raise ConfigError(f"there are {len(self.targets)} targets; name one: {', '.join(self.targets)}")
        latency = self.targets[name] if name else next(iter(self.targets.values()), self.latency)
        return self.model_copy(update={"latency": latency, "targets": {}})

    def with_latency(self, **values: JsonValue) -> Self:
        """Return the configuration with other values in its ``latency``.

        Raises:
            ConfigError: A value is out of bounds.
            UnknownNameError: A key that does not exist.
        """
        latency = {**self.latency.model_dump(exclude_unset=True), **values}
        try:
            return self.model_copy(update={"latency": LatencySection.model_validate(latency)})
        except ValidationError as error:
            what = "configuration key"
            raise explained(error, LatencySection, unknown=what, subject=f"{what} latency.") from error

    def allowing(self, words: Collection[str]) -> Self:
        """Return the configuration whose targets allow ``words`` to have changed too: see ``Changeable``.

        Raises:
            UnknownNameError: One is none of these words.
        """
        more = changeable(words)
        if self.targets:
            targets = {name: _allowing(target, more) for name, target in self.targets.items()}
            return self.model_copy(update={"targets": targets})
        return self.model_copy(update={"latency": _allowing(self.latency, more)}) if more else self

    def outside_names(self) -> tuple[str, ...]:
        """Return the modules from outside that this configuration names: using it runs their code."""
        targets = self.latency_targets()
        names = (
            self.space.name,
            *self.space.operation_kinds,
            self.strategy.name,
            self.data.name,
            *(name for name in self.search.objectives if not name.startswith(f"{LATENCY}.")),
            *(target.runtime for target in targets.values()),
            *(target.device.partition(":")[0] for target in targets.values()),
        )
        return tuple(dict.fromkeys(name for name in names if "." in name))

    @classmethod
    def load(cls, path: str | Path | None, overrides: Mapping[str, JsonValue] | None = None) -> Self:
        """Read ``path`` (defaults where ``None``), then set each dotted key of ``overrides``.

        Args:
            path: TOML.
            overrides: Values by dotted keys, ``"search.seed"``.

        Raises:
            ConfigError: The file cannot be read, or a value is out of bounds.
            UnknownNameError: A key that does not exist.
        """
        return cls.of(read_values(path, overrides))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration of ``values``, section by section.

        Raises:
            ConfigError: A value is out of bounds.
            UnknownNameError: A key that does not exist.
        """
        return cls._checked(values)

    @classmethod
    def load_stored(cls, path: Path) -> Self:
        """Read a configuration that was stored with a result, perhaps by an earlier version.

        A key that it lacks has the value that was in force before the key existed, never today's default.

        Raises:
            ConfigError: The file cannot be read, or a value is out of bounds.
            UnknownNameError: A key that does not exist.
        """
        values = {**before(cls), **read_toml(path)}
        for name in cls.model_fields:
            section, given = section_type(cls, name), values.get(name, {})
            if section is None or not isinstance(given, dict):
                continue
            if name == "targets":
                values[name] = {target: _aged(section, keys) for target, keys in given.items()}
            elif name != "latency" or not values.get("targets"):
                values[name] = _aged(section, given)
        return cls._checked(values)

    @classmethod
    def _checked(cls, values: Mapping[str, Any]) -> Self:
        for key, value in _numbers(values):
            if not math.isfinite(value):
                raise ConfigError(f"configuration key {key} is {value}; it should be a finite number")
        try:
            config = cls.model_validate(values)
        except ValidationError as error:
            what = "configuration key"
            raise explained(error, cls, unknown=what, subject=f"{what} ") from error
        names = config.search.objectives
        if names[:1] != ("error",) or len(set(names)) < 2:
            raise ConfigError(f"search.objectives is {list(names)}; name error first, and at least one other")
        if config.targets and "latency" in values:
            raise ConfigError(
                "[latency] is the only target, or [targets.NAME] are all of them; leave one out"
            )
        for name in sorted(config.limits.keys() & config.latency_targets().keys()):
            raise ConfigError(f"limits.{name} is not taken: a latency has the max_latency_ms of its target")
        for name, most in config.all_limits().items():
            if name not in config.objective_names():
                key = "max_latency_ms" if name in config.latency_targets() else f"limits.{name}"
                raise ConfigError(f"{key} = {most:g} needs {name} among search.objectives")
        return config

    def to_values(self, *, with_none: bool = False, only_given: bool = False) -> dict[str, JsonValue]:
        """Return all values, section by section, as JSON has them.

        Args:
            with_none: Whether those that are ``None`` are among them; a file cannot hold them.
            only_given: Whether only those are returned that were given, not the defaults of the others.
        """
        values: dict[str, JsonValue] = self.model_dump(
            mode="json", exclude_none=not with_none, exclude_unset=only_given
        )
        if self.targets and "latency" in values:
            del values["latency"]
        return values

    def to_toml(self) -> str:
        """Return the resolved configuration, as ``load`` reads it."""
        return tomli_w.dumps(self.to_values())


def _allowing(target: LatencySection, words: Sequence[Changeable]) -> LatencySection:
    return target.model_copy(update={"allow_changed": changeable([*target.allow_changed, *words])})


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


def read_values(
    path: str | Path | None, overrides: Mapping[str, JsonValue] | None = None
) -> dict[str, JsonValue]:
    """Return what a configuration file and dotted keys say, section by section, unchecked.

    Raises:
        ConfigError: The file cannot be read, or a key goes through a value.
    """
    values = read_toml(Path(path)) if path else {}
    for key, value in (overrides or {}).items():
        # The name of a cost, under which its limit stands, may have dots itself.
        _set(values, key.split(".", 1 if key.startswith("limits.") else -1), value)
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a configuration file, unchecked.

    Raises:
        ConfigError: It cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(read_regular(path, MAX_CONFIG_BYTES).decode())
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _numbers(values: object, key: str = "") -> Iterator[tuple[str, float]]:
    """Yield all fractions in ``values``, however deep, with their dotted keys; those of lists by index."""
    if isinstance(values, float):
        yield key, values
    elif isinstance(values, Mapping | list | tuple):
        inner = values.items() if isinstance(values, Mapping) else enumerate(values)
        for name, value in inner:
            yield from _numbers(value, f"{key}.{name}" if key else str(name))


def _aged(section: type[BaseModel], given: Any) -> Any:
    """Return a stored section with the values from before its keys existed."""
    return {**before(section), **given} if isinstance(given, dict) else given


def merged_values(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, section by section; where both have a value, ``upper`` holds.

    Settings of a plug-in are not those of another: of a section with another ``name``, nothing is kept.
    """
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if (
            isinstance(below, dict)
            and isinstance(value, dict)
            and value.get("name") in (None, below.get("name"))
        ):
            value = merged_values(below, value)
        merged[key] = value
    return merged


def _set(values: dict[str, Any], keys: Sequence[str], value: JsonValue) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"configuration key {'.'.join(keys)!r}: {key!r} is a value, not a section")
        values = inner
    values[keys[-1]] = value
