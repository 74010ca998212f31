"""A module for each command, which has its name; ``main`` finds them. Rendering: ``render``."""
