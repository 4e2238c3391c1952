"""Recipes: what a user asks for, as data."""
