"""What a recipe may say, read and checked with line numbers."""
