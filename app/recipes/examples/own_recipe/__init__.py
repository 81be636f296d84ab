"""A recipe of one's own: 178 wines, 13 measurements each, from three growers. See README.md."""
