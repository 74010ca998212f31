"""A Snapshot for people: as Markdown, and as one page with a picture. Pure: text in, text out."""
