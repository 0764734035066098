"""Training whose every step is differentially private for one image, or for one patient (DP-SGD)."""
