"""The ledger of a site: every release that ever left it, on its own disk, with what was released, and its budget."""
