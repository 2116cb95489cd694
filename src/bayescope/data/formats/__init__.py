"""File formats: the pixels of a single file."""
