"""Settings: the values that a plug-in takes, declared in one place; and the check of values from outside."""

import inspect
import json
from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from devices.foundation.errors import ConfigError, UnknownNameError

#: Under this key a field declares which value it had, in effect, before it existed.
_BEFORE = "before"


class Settings(BaseModel):
    """A frozen set of named values: each field declares its name, type, bounds and default, in one place.

    A plug-in declares its own as ``settings: MySettings`` in its class body; see ``settings_type``. Types are
    strict: a boolean is no number, and a number no text. A rule between fields is a pydantic
    ``model_validator`` that raises ``ValueError``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def checked(cls, owner: str, values: Mapping[str, object]) -> Self:
        """Return the settings with ``values``, and defaults where there are none.

        Args:
            owner: Whose settings they are, for messages: ``"cars"``.
            values: By name, from a caller or a configuration; not trusted.

        Raises:
            UnknownNameError: A name that is no setting.
            ConfigError: A value out of bounds or of another type, or values that do not go together.
        """
        try:
            text = json.dumps(dict(values))
        except (TypeError, ValueError):  # what no file can hold, from a caller
            text = None
        try:
            # As JSON, where there is one form for each value: a list is what a tuple is written as.
            return cls.model_validate(dict(values)) if text is None else cls.model_validate_json(text)
        except ValidationError as error:
            raise explained(error, cls, unknown=f"setting of {owner}", subject=f"{owner}: ") from error

    @classmethod
    def stored(cls, owner: str, values: Mapping[str, object]) -> Self:
        """Return the settings that a file of an earlier version means.

        A setting that the file lacks has the value that was in force before it existed: the one that its
        field declares (see ``added``), else its default.

        Raises:
            UnknownNameError: A name that is no setting.
            ConfigError: As ``checked`` says.
        """
        return cls.checked(owner, {**before(cls), **values})

    def values(self) -> dict[str, Any]:
        """Return all values by name, as JSON has them."""
        return self.model_dump(mode="json")


def added(default: Any, *, before: Any, **bounds: Any) -> Any:
    """Declare a field that stored configurations may lack.

    Args:
        default: For whoever starts today.
        before: What programs did when the field did not exist.
        bounds: As of ``pydantic.Field``.

    Raises:
        TypeError: The default is ``None``, which files leave out, but ``before`` is not.
    """
    if default is None and before is not None:
        raise TypeError(f"a file that lacks the field would mean both None and {before!r}")
    return Field(default, json_schema_extra={_BEFORE: before}, **bounds)


def before(model: type[BaseModel]) -> dict[str, Any]:
    """Return, for each field of ``model`` that was added later, the value in force before."""
    found = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and _BEFORE in extra:
            found[name] = extra[_BEFORE]
    return found


def settings_type(plugin: type) -> type[Settings]:
    """Return the type that ``plugin``, or the nearest class above it, declares its ``settings`` with."""
    for owner in plugin.__mro__:
        declared = inspect.get_annotations(owner).get("settings")
        if isinstance(declared, type) and issubclass(declared, Settings):
            return declared
    return Settings


def section_type(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the type of the section ``name``, or of each section in it; ``None`` where it holds values."""
    if name not in model.model_fields:
        return None
    annotation = model.model_fields[name].annotation
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def explained(
    error: ValidationError, model: type[BaseModel], *, unknown: str, subject: str
) -> ConfigError | UnknownNameError:
    """Turn pydantic's first complaint into one line that names the key, the value and what is allowed.

    Args:
        error: What ``model`` raised.
        model: May have sections, whose keys are named with dots.
        unknown: What a key that does not exist is called: ``"setting of cars"``.
        subject: What a message of any other complaint begins with: ``"cars: "``.

    Returns:
        The error to raise from ``error``.
    """
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        *sections, _ = map(str, first["loc"])
        for section in sections:
            model = section_type(model, section) or model
        known = [".".join([*sections, key]) for key in model.model_fields]
        return UnknownNameError(unknown, name, known)
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return ConfigError(f"{subject}{message}")
    message = message.replace("Input should be", "it should be")
    return ConfigError(f"{subject}{name} is {first['input']!r:.64}; {message}")
