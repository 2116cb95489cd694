"""Comparison with discriminative networks on the same images."""
