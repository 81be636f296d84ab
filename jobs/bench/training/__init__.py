"""The cost of the engine: under Ray Train, beside a loop written by hand, and while it saves."""
