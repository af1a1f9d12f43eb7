"""Settings of all tests: hypothesis is reproducible, brief, and has no deadline on a shared machine."""

from hypothesis import settings

settings.register_profile("reproducible", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("reproducible")
