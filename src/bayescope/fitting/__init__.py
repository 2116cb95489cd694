"""Fitting of a classifier: training, then everything that is estimated on held-out images."""
