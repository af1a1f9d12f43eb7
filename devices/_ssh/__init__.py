"""The way to a Linux board: one connection by the system's ssh, and the scripts and files that go over it."""
