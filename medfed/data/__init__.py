"""Data: manifests and other sources, checks, decoding with a cache, partitioners, transforms, bundled samples."""
