"""torch as it is written: modules called one after another, timed on processors and on cards."""
