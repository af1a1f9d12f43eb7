"""The settings of TFLite."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer

from devices.foundation import Settings


def _from_word(value: object) -> bool:
    match value:
        case bool():
            return value
        case "on":
            return True
        case "off":
            return False
    raise ValueError("it should be true or false")


def _word(is_on: bool) -> str:
    return "on" if is_on else "off"


#: A boolean. The headers of tables spell it ``"on"`` or ``"off"``, and configurations may.
Switch = Annotated[bool, BeforeValidator(_from_word), PlainSerializer(_word)]


class TfLiteSettings(Settings):
    """How TFLite executes models.

    Attributes:
        xnnpack: Whether XNNPACK runs what it can, as shipped; else TFLite's own kernels run all.
        delegate: What runs the model: ``"cpu"``; on a phone also ``"gpu"`` or ``"nnapi"``.
        require_full_delegation: Whether nothing may run outside of a GPU's or NNAPI's delegate.
        benchmark_binary: Path of the ``benchmark_model`` that is brought to a phone; empty: from the
            environment or the cache folder.
    """

    xnnpack: Switch = True
    delegate: Literal["cpu", "gpu", "nnapi"] = "cpu"
    require_full_delegation: Switch = True
    benchmark_binary: str = ""

    @property
    def is_accelerated(self) -> bool:
        """Whether anything else than the CPU is asked for."""
        return self.delegate != "cpu"
