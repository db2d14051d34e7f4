"""`python -m buildyard.cli` is the same as `buildyard`."""

from __future__ import annotations

from buildyard.cli.main import main

if __name__ == "__main__":
    main()
