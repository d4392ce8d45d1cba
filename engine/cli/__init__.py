"""The command line: the flags of a training script, the set-up before the training, and separate commands."""
