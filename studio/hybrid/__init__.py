"""Hybrid: some atoms by a network, the rest by MM - and the view that says which."""
