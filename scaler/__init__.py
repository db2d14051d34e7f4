"""The scaler: observes the pools, decides, starts workers and asks them to drain."""
