"""Small models that are searched for, and the way from a text to its label; see README.md beside this file."""
