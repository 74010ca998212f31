"""Where a project keeps data by its hash: what is there, and how it is had back."""
