"""A small Django application: a shop with authors, books and orders."""
