"""Folders and files as they lie on disk: found, named, read together and accounted for."""
