"""What can this machine hold, and how do I speak to it? Knows chips and Lava, no framework. See README.md here."""
