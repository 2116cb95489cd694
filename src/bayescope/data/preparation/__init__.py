"""Preparation of mammograms into a cache on disk."""
