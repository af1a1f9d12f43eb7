"""Resolution: every setting of the plug-ins that a configuration names, and whose code it would run."""

from collections.abc import Collection, Mapping, Sequence

from pydantic import JsonValue

from cars_hw import objectives, spaces
from cars_hw.config import PluginSection, SearchConfig
from cars_hw.data import DataSet
from cars_hw.errors import PluginNotAllowedError
from cars_hw.networks import kinds
from cars_hw.spaces import SearchSpace
from cars_hw.strategies import Strategy
from devices.foundation import ConfigError, UnknownNameError, load_plugin, settings_type

#: By its section: the folder of a plug-in, its contract, and what it is.
_PLUGINS: Mapping[str, tuple[str, type, str]] = {
    "space": ("cars_hw.spaces", SearchSpace, "space"),
    "strategy": ("cars_hw.strategies", Strategy, "strategy"),
    "data": ("cars_hw.data", DataSet, "data set"),
}


def resolved(config: SearchConfig, *, is_stored: bool = False) -> SearchConfig:
    """Return ``config`` with all settings of its space, strategy and data set spelled out.

    Args:
        config: May leave settings out.
        is_stored: Whether it was stored with a result: then what it leaves out has the value that was in
            force when the setting did not exist.

    Raises:
        UnknownNameError: There is no such plug-in or objective, or a plug-in has no such setting.
        ConfigError: A setting has a value that it does not take.
    """
    for objective in config.objective_names():
        objectives.find(objective)
    sections = {"space": config.space, "strategy": config.strategy, "data": config.data}
    update = {name: _spelled_out(name, given, is_stored=is_stored) for name, given in sections.items()}
    return config.model_copy(update=update)


def require_allowed(config: SearchConfig, allowed: Collection[str], *, where: str) -> None:
    """Refuse a configuration that somebody else may have written and that would run code from outside.

    Args:
        config: As it was stored.
        allowed: Modules that the user named.
        where: What names them, for the message.

    Raises:
        PluginNotAllowedError: It names a module that is not allowed.
    """
    for name in config.outside_names():
        if name not in allowed:
            raise PluginNotAllowedError(where, name)


def _spelled_out(section: str, given: PluginSection, *, is_stored: bool) -> PluginSection:
    package, base, what = _PLUGINS[section]
    settings = settings_type(load_plugin(package, given.name, base, what=what))
    own = given.model_dump(include=set(type(given).model_fields))
    for name in settings.model_fields.keys() & own.keys():
        raise ConfigError(
            f"{what} {given.name} has a setting {name}, which [{section}] has itself; rename it"
        )
    try:
        found = (settings.stored if is_stored else settings.checked)(given.name, given.settings)
    except UnknownNameError as error:
        known = [f"{section}.{key}" for key in (*type(given).model_fields, *settings.model_fields)]
        raise UnknownNameError("configuration key", f"{section}.{error.name}", known) from error
    return type(given).model_validate({**own, **found.values()})


def stored_space(name: str, settings: Mapping[str, JsonValue], kinds_of: Sequence[str]) -> SearchSpace:
    """Return the space that a model card names, with the values from before settings existed.

    Args:
        name: Of the space, allowed already.
        settings: As they were stored; not trusted.
        kinds_of: Modules that define its kinds of operation, allowed already.

    Raises:
        UnknownNameError: There is no such space, or it has no such setting.
        ConfigError: A setting has a value that the space does not take.
    """
    kinds.load_kinds(kinds_of)
    package, base, what = _PLUGINS["space"]
    taken = settings_type(load_plugin(package, name, base, what=what)).stored(name, settings)
    return spaces.load(name, **taken.values())
