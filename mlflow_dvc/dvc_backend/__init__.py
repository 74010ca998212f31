"""The only importer of DVC. It runs in a process of its own: training never pays for it."""
