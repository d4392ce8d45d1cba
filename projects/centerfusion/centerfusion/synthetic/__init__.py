"""Generated roads in the layout of nuScenes."""
