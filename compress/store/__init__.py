"""What is kept of finished steps, and what they have cost."""
