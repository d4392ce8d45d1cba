"""Action recognition: SlowFast and SlowOnly on videos and folders of frames."""
