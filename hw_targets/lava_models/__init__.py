"""Our Lava process models. Import-safe files only: Lava executes every file beside a custom Process."""
