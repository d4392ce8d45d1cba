"""The registry of the parts of a detector."""

from steploop.config import Registry

PART_REGISTRY = Registry("DETECTION_PART")
"""Detectors, heads, assigners, samplers and losses, by the names that MMDetection's configs give them.

Each is called with keyword arguments of MMDetection's names; those that are specs (dicts with a "type") are built by
the part that takes them.
"""
