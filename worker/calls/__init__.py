"""Calls: rows that become requests to a slow service, at its pace and no faster."""
