"""Git repositories as sources: the program held on a short lead, submodules checked one by one, and credentials."""
