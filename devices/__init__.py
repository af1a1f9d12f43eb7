"""Hardware to measure on: one file per kind of device."""
