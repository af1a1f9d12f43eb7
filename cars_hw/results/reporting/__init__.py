"""What a run has to show: what was retrained of it, and parts of its page."""
