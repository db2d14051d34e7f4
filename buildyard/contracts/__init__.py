"""The vocabulary and the wire: frozen values that processes exchange, and nothing else."""
