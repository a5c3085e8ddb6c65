"""Where an artifact came from: told in its folder, shown, checked, and made again."""
