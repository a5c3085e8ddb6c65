"""Does the instrument read what is there?"""
