"""What is special about each broker."""
