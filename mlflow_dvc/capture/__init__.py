"""Builds a Snapshot of the workspace; git and DVC run only off the path of start_run."""
