"""From text to terms: one object for what is indexed and what is asked."""
