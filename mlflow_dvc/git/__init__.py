"""Git: its files read, its commands run, a repository asked on a person's behalf."""
