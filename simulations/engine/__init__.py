"""The rounds of one machine or one Ray cluster: grids, worker processes, what travels between them."""
