"""What each technique costs and buys by itself; see README.md beside this file."""
