"""What the quickstart costs and gives; see README.md beside this file."""
