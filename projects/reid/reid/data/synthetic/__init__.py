"""Synthetic pedestrians."""
