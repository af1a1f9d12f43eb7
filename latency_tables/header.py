"""TableHeader: the conditions that all latencies of a table share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, get_args

from devices import DeviceInfo
from latency_tables.errors import TableError, TableMismatchError

Setting = str | int

#: What a runtime executes of a network: what its output depends on, or every operation that is written.
Extent = Literal["live", "whole"]


@dataclass(frozen=True)
class TableHeader:
    """Device, runtime and settings of measurements; latencies under equal headers may be compared.

    Attributes:
        device: Hardware.
        runtime: Name of the runtime: ``"onnxruntime"``.
        runtime_version: The version that the runtime reports.
        threads: Threads of one call.
        settings: Whatever else makes latencies incomparable: ``{"provider": "CPUExecutionProvider"}``.
        executes: What the runtime executes of a network.

    Raises:
        TableError: A name is empty, there is no thread, a setting is neither text nor integer, or
            ``executes`` is neither word.
    """

    device: DeviceInfo
    runtime: str
    runtime_version: str
    threads: int
    settings: Mapping[str, Setting] = field(default_factory=dict, hash=False)
    executes: Extent = "live"

    def __post_init__(self) -> None:
        if not (self.device.kind and self.runtime and self.runtime_version):
            raise TableError("a table's header names a device, a runtime and the runtime's version")
        if self.threads < 1:
            raise TableError(f"a table's header has {self.threads} threads; at least one runs")
        for name, value in self.settings.items():
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise TableError(f"setting {name}={value!r:.80} of a table is neither text nor integer")
        if self.executes not in get_args(Extent):
            raise TableError(
                f"executes is {self.executes!r:.80}; a runtime executes the live graph or the whole"
            )
        object.__setattr__(self, "settings", dict(self.settings))  # the caller's may change later

    def facts(self) -> dict[str, Setting]:
        """Return every condition under a name of its own: ``"device.model"``, ``"settings.provider"``."""
        return {
            **{f"device.{name}": value for name, value in asdict(self.device).items()},
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "threads": self.threads,
            "executes": self.executes,
            **{f"settings.{name}": value for name, value in self.settings.items()},
        }

    def require_equal(self, wanted: "TableHeader") -> None:
        """Check that this table may take latencies measured under ``wanted``: on its device, or one of them.

        Raises:
            TableMismatchError: It may not; the error names the first fact that differs, and both its values.
        """
        device = self.device if self.device.includes(wanted.device) else wanted.device
        found, asked = self.facts(), replace(wanted, device=device).facts()
        for name in found | asked:
            if found.get(name) != asked.get(name):
                values = [str(facts.get(name, "unset")) for facts in (found, asked)]
                raise TableMismatchError(name, found=values[0], wanted=values[1])
