"""Records as tables: their columns, rows and Arrow record batches, exact, and what a table cannot hold."""
