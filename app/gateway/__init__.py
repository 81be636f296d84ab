"""The only public door: thin protocol fronts over ``dataplane``, which knows no protocol."""
