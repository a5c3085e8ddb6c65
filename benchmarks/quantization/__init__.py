"""What quantization costs and gains on a processor without VNNI; see README.md beside this file."""
