"""The only importer of DVC. It runs in a process of its own, so that training never pays for it."""
