"""The results of a model on test sets, and passes through a model that do not disturb its training."""
