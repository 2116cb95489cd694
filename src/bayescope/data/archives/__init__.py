"""Published mammography archives and image folders to case tables."""
