"""What is measured of a whole head against its original: its surface, its brain, the quality of its image."""
