"""Layers and operators that more than one network uses."""
