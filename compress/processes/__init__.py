"""Processes of our own: started, asked, bounded, and ended with the one that started them."""
