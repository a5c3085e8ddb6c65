"""From a recipe to planned steps with their keys, and every check that needs no weights."""
