"""Git, and its own files: the commit, what is not committed, a repository asked for a person."""
