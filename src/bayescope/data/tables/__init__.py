"""Case tables: read, checked and ordered, and the images they list."""
