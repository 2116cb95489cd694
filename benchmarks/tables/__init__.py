"""Sections of docs/results.md: one module per benchmark, each with ``section()``, lines of Markdown from its measured files."""
