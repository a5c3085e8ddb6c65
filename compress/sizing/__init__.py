"""What each size of a layer costs on a target, and the sizes that make a model fast enough."""
