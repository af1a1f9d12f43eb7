"""From a traced module to the bytes of a TFLite file, in steps."""
