"""From the workspace to a Snapshot, without DVC and without a git process."""
