"""Videos and their labels, and what becomes of them before a model sees them."""
