"""What does a Program of integers mean, to the bit? Knows no framework and no chip. See README.md in this folder."""
