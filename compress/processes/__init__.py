"""Child processes: started, asked, limited, and ended with their parent."""
