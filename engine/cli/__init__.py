"""The command line: the flags of a training script, what happens before the training, and commands of their own."""
