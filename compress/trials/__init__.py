"""Trials of files from outside, in processes with limits, before the files are used."""
