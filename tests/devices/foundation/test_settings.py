"""Settings of plug-ins: said once, strict, explained in one line, and readable where they are older."""

from typing import Self

import pytest
from pydantic import Field, model_validator

from devices.foundation import ConfigError, Settings, UnknownNameError, added, settings_type


class _Widths(Settings):
    width: int = Field(8, ge=2, multiple_of=2)
    share: float = Field(0.5, ge=0, le=1)
    is_deep: bool = False
    kind: str = added("new", before="old", pattern="^(new|old)$")

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.is_deep and self.width > 100:
            raise ValueError(f"a deep network takes a width of at most 100, not {self.width}")
        return self


class _Plugin:
    settings: _Widths


class _Heir(_Plugin):
    pass


def test_what_is_not_said_has_its_default() -> None:
    assert _Widths.checked("net", {"width": 4}).values() == {
        "width": 4,
        "share": 0.5,
        "is_deep": False,
        "kind": "new",
    }


def test_an_unknown_name_lists_the_known_ones_and_the_closest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown setting of net 'widht'; did you mean 'width'"):
        _Widths.checked("net", {"widht": 4})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"width": 0}, r"net: width is 0; it should be greater than or equal to 2"),
        ({"width": 3}, r"net: width is 3; it should be a multiple of 2"),
        ({"width": True}, r"net: width is True; it should be a valid integer"),
        ({"width": "4"}, r"net: width is '4'; it should be a valid integer"),
        ({"share": float("nan")}, r"net: share is nan; it should be a finite number"),
        ({"is_deep": 1}, r"net: is_deep is 1; it should be a valid boolean"),
        ({"is_deep": True, "width": 200}, r"^net: a deep network takes a width of at most 100, not 200$"),
    ],
)
def test_a_value_that_is_not_taken_is_one_line(values: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        _Widths.checked("net", values)
    assert "\n" not in str(caught.value)


def test_a_stored_file_that_lacks_a_setting_means_what_was_in_force_then() -> None:
    assert _Widths.stored("net", {"width": 4}).kind == "old"
    assert _Widths.stored("net", {"kind": "new"}).kind == "new"


def test_a_plug_in_declares_its_settings_once() -> None:
    assert settings_type(_Plugin) is settings_type(_Heir) is _Widths
    assert settings_type(object) is Settings


class _Lists(Settings):
    widths: tuple[int, ...] = (1, 2)


def test_what_a_file_holds_of_a_tuple_is_taken() -> None:
    assert _Lists.checked("net", {"widths": [3, 4]}).widths == (3, 4)
    assert _Lists.checked("net", {"widths": (3, 4)}).widths == (3, 4)
    assert _Lists.checked("net", _Lists().values()) == _Lists()


def test_a_default_that_files_leave_out_means_one_thing() -> None:
    with pytest.raises(TypeError, match="both None and 3"):
        added(None, before=3)
