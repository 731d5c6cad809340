"""Exports into object stores, which moto plays."""
