"""One question, one file: this folder's listing is the product's feature list."""
