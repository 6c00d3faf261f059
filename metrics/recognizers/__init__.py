"""Recognizers: what tells how alike two faces are, and how faces are found in heads for them."""
