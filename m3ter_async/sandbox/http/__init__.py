"""The HTTP side: routing, credentials, limits, faults, and the server itself."""
