"""Fitting a classifier: training, then all that is fitted on held-out images."""
