"""The network, its losses, and how radar is associated with boxes."""
