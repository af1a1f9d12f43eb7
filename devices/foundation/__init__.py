"""What all packages stand on: the root of the errors, files, locks, plug-ins and text."""
