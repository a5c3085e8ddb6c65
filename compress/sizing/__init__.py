"""The time that each size of a layer takes on a target, and the sizes that make a model fast enough."""
