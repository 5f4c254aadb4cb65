"""Homes made from a seed: rooms, furniture, their whole surface, and what a depth camera sees of them."""
