"""What a source says of itself in `buildyard.toml`: its shape, its reader, its JSON Schema."""
