"""A training step, part by part, such that the host never waits for the device."""
