"""A DICOM node: receives or fetches images, classifies them and sends the results to archives."""
