"""What the engine costs: under Ray Train, beside a loop written by hand, and while it saves."""
