"""One file per model family; the file's name is the family's name in models.yaml."""
