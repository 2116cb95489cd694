"""Reading folders of files: search, names, image files, and a summary of what was used."""
