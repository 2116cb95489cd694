"""Labelled image sets: files and archives read, split and prepared."""
