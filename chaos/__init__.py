"""A soak under faults: a farm of real processes, a mixed stream of builds, seeded faults, and a ledger kept outside."""
