"""Reads image files, caches decoded images, and draws pictures for people."""
