"""Two networks that train against each other, on points of the plane: several optimizers in one trainer."""
