"""One scenario over a grid of settings and several seeds."""
