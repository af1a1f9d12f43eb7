"""Retraining: one network at its deployed size, trained from scratch, judged, and kept beside its run."""
