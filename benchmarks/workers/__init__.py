"""The contenders, one module each, and what is measured of them: each runs in a process of its own."""
