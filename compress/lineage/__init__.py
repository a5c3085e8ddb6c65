"""The lineage of an artifact, from its sources to its figures: written, shown, checked, and used to make it again."""
