"""Settings: what a plug-in may be told, said once; and values from outside, held against that."""

import inspect
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from devices.foundation.errors import ConfigError, UnknownNameError

#: Under this key a field says which value it had, in effect, before it existed.
_BEFORE = "before"


class Settings(BaseModel):
    """A frozen set of named values: each field says its name, type, bounds and default, in one place.

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
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _explained(error, owner, cls) from error

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
    """
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


def _explained(error: ValidationError, owner: str, model: type[Settings]) -> ConfigError | UnknownNameError:
    """Turn pydantic's first complaint into one line that names the setting, the value and what is allowed."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return UnknownNameError(f"setting of {owner}", name, model.model_fields)
    return ConfigError(f"{owner}: {_complaint(name, first)}")


def _complaint(name: str, first: ErrorDetails) -> str:
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return message
    message = message.replace("Input should be", "it should be")
    return f"{name} is {first['input']!r:.64}; {message}"
