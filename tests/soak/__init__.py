"""A long run of everything at once, through a service that fails every fifth request."""
