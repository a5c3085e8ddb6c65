"""Files and folders: written whole or not at all, read strictly, locked, and what a full disk means to a person."""
