"""One run on disk: its folder, its lock, its log, its record, and the random numbers that follow from its seed."""
