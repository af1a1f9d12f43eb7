"""From a torch module to the file that a runtime executes; used to measure and to export."""
