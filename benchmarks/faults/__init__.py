"""Is work ever lost, and does anything ever lie: kills, faults of the disk, and mutated input."""
