"""Facts of this computer, and the speed of its arithmetic."""
