"""Intervals of latencies that hold for other processes too."""
