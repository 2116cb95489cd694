"""Labelled image sets: reading, splitting and preparing files and archives."""
