"""Bayescope beside discriminative networks, on the same images."""
