"""Several finished runs side by side: what differs between them, and what of it is beyond chance."""
