"""Feature extractors, and what is built on top of their stages."""
