"""Synthetic people in front of synthetic cameras, rendered by NumPy and Pillow: pictures to start with."""
