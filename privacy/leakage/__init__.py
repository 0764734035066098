"""What the recorded updates of a run give away: from the run's folder to attacked images and a section of the audit."""
