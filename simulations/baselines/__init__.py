"""What a federated model is held against: models of one site, and of all data in one place."""
