"""Bad input of every kind against real parts: each case with the problem it must end in."""
