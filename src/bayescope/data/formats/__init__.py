"""File formats: one file to pixels."""
