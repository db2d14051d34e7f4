"""A slow, moody HTTP service to try calls with; see __main__.py."""
