"""Results -> figures -> pages and tables. Pure: reads results, runs nothing, never imports torch."""
