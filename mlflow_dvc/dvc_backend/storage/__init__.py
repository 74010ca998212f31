"""The stores of a project, cache and remotes: what they have, and how to fetch it."""
