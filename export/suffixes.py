"""File name endings, apart from the code that needs torch to read them."""

CHECKPOINTS = frozenset({".pt", ".pth", ".ckpt", ".bin"})
SLAYER = frozenset({".net"})
"""Networks of lava-dl's SLAYER: integers."""
