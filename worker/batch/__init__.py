"""Batches: the rows of a CSV become jobs; reading, cutting, working through and collecting them."""
