"""What is measured and where it goes: recorded without waiting, read once a period, written by `writers/`.

`events.py` is the entry point: the EventStorage that a model, a trainer or a hook puts values into.
"""
