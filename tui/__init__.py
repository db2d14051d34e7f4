"""The dashboard: one terminal screen over the HTTP APIs of producer and scaler; it reaches a farm in no other way."""
