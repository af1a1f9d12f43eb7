"""The content of a table: all that its lines say under the first one."""
