"""Listings: pages fetched one ahead, and the iterators that hand out their records."""
