"""What recorded updates give away, and what defences change in that."""
