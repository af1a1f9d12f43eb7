"""How far measuring has come, counted in what the caller waits for, and how long the rest may take."""
