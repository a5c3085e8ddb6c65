"""The search for the smallest model that keeps a goal: candidates, who goes on, the front, the honest choice."""
