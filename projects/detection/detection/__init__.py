"""Object detection: MMDetection's Faster R-CNN and RetinaNet, with its configs and its checkpoints."""
