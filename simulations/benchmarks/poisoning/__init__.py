"""Attack x aggregator: what malicious sites cost under every rule, and who is named."""
