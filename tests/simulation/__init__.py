"""A seeded world in virtual time, with the real client in it; `python -m tests.simulation` looks for what breaks."""
