"""What a sandbox holds now: the seeded rows with what was written laid over them."""
