"""What must not leave the machine: keys, tokens and passwords, in addresses and in texts."""
