"""Images in files: found, decoded once, and kept in a file that is mapped into memory."""
