"""Administration, for keys with the scope admin: ``route_tables`` reads and changes them; ``front`` lists it."""
