"""What the facts mean, one file per subject: pure functions of facts and rendered objects, no question any more."""
