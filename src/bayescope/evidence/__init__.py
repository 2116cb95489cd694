"""Weighing: how probable an image is under each class, from a class-conditional denoiser."""
