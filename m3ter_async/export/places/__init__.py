"""Where an export is kept: a folder of this machine, or an object store."""
