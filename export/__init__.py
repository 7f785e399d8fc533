"""In and out of frameworks and files: checkpoints, Norse, NIR. Knows no chip. See README.md in this folder."""
