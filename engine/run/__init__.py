"""A run on disk: its folder, lock, log and manifest; and the random numbers that are derived from its seed."""
