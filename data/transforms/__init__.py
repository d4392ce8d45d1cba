"""Transforms draw a geometry from a sample's random numbers; the geometry moves image, clip, boxes and points alike.

base: Transform and Compose. geometry, moves: what a transform draws. crop, affine, resize: transforms that move pixels.
colour, erasing: transforms that change pixels where they are. foreign: transforms of other libraries.
"""
