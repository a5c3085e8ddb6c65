"""Files from outside, tried in processes with limits before they are used."""
