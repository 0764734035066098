"""How alike two images are, and whether a person can be told by one: pure functions, no attack."""
