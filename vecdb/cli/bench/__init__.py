"""``vecdb bench``: how fast a person's own server answers, and how well."""
