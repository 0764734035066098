"""The site's side of a federated run: message -> local training -> message."""
