"""Before a run: which noise for which epsilon after so many rounds, and what other choices would cost."""
