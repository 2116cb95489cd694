"""Evaluation of a trained classifier on labelled images; the demo, reports and comparisons."""
