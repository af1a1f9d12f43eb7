"""Latency tables without measuring, which lie with the shipped suites."""

from cars_hw.testing._tables import write_table

__all__ = ["write_table"]
