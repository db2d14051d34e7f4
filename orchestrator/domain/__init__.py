"""The rules of builds as pure functions of values."""
