"""Pure maths: losses, importance scores, rounding, statistics. No files, no Trainer."""
