"""The run of an export: workers, manifest, parts, progress."""
