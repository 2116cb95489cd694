"""Run folders: configuration, weights, training state and provenance on disk."""
