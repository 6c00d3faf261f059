"""The commands of `refbench`, by what they are about."""
