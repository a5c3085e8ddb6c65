"""How small and fast a classifier gets without a loss that shows; see README.md beside this file."""
