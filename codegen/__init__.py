"""Prints `m3ter_async`'s models, resources and sandbox tables from the service's OpenAPI document."""
