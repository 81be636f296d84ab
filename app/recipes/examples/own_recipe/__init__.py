"""A recipe of one's own: 178 wines, 13 measurements each, from three growers. See README.md.

``recipe`` is what the engine trains, ``wine_network`` the plain model, ``scoring`` the script by which MLflow loads
it.
"""
