"""What the files of a DVC project say, read without DVC."""
