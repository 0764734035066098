"""What differential privacy costs in accuracy on three real data sets, and which tricks win some of it back."""
