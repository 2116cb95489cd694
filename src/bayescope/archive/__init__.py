"""Classification of whole archives: block by block into Parquet, resumable, on one machine or a Ray cluster."""
