"""What an export reads: listings, the slices they are cut into, and reading one."""
