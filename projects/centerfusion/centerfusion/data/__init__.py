"""Tables, conversion, radar and the samples of a training."""
