"""From similarities of faces to figures: who is found, and how well same and other people are told apart."""
