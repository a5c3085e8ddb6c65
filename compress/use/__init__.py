"""The use of finished models: predictions for texts and files."""
