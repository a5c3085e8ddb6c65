"""Models held against each other on rows that no training has seen."""
