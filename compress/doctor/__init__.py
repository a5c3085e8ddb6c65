"""The doctor: what this machine can gain, and why a model is not faster, with evidence and a fix for each finding."""
