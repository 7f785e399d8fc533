"""In what order, with what choices, and did it match? The only room that prints. See README.md in this folder."""
