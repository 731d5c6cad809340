"""Files that go in and out by presigned URLs."""
