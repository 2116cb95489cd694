"""Estimators of log p(x|y): denoising evidence over noise levels, sequential scoring and the probability flow."""
