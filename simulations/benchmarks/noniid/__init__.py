"""Every strategy on three real non-IID data sets, its values chosen on validation images; see ``__main__``."""
