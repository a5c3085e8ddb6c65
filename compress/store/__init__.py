"""The store of finished steps' artifacts, and the cost of steps."""
