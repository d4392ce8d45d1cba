"""Random changes of images that only re-ID's recipes use; each is a function of the sample's generator."""
