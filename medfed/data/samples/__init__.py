"""Bundled real data, each folder with its licence and attribution; see README.md."""
