"""Preparation of mammograms, once, into a cache on disk."""
