"""The detection metrics of nuScenes and its result files."""
