"""By which Lava tells that lava-loihi is installed."""
