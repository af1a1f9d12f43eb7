"""Samples of a workload: taken block by block, and kept where an interrupt would lose them."""
