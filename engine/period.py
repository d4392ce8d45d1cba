"""When something acts: the only place that counts iterations."""


def every(period: int, iteration: int) -> bool:
    """Say whether `iteration` (counted from 0) is the last of a block of `period` iterations.

    A period of 0 means never, so that "only at the end" needs no second setting.

    Raises:
        ValueError: the period is negative.
    """
    if period < 0:
        raise ValueError(f"a period is a number of iterations, or 0 for never; got {period}")
    return period > 0 and (iteration + 1) % period == 0


def next_end(period: int, iteration: int) -> int:
    """Return the first iteration after `iteration` that ends a block of `period` > 0 iterations."""
    return (iteration + 1) // period * period + period - 1
