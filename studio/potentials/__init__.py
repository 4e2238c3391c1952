"""Potentials: the contract (`base`) and the networks that fulfil it, each found by name through `studio.plugins`."""
