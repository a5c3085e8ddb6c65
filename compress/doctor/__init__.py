"""What this machine can win, and why a model is not faster: findings, each with its evidence and its fix."""
