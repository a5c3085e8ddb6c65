"""What this computer is, and what its processor can do."""
