"""What the code base is like to work on: how it is laid out, what an addition touches, how long its tests take."""
