"""Settings of all tests: hypothesis is reproducible, brief, and has no deadline on a shared machine."""

import os

from hypothesis import settings

# Before torch is loaded: its threads must not wait in a busy loop on a machine that others use too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("reproducible", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("reproducible")
