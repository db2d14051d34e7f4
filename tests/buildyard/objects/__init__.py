"""What is special about each object store."""
