"""Students where the order of words and pretraining matter; see README.md beside this file."""
