"""Measurements: checked, sent in batches or as files, and what became of them."""
