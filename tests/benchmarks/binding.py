"""Benchmarks of binding free energies by alchemical transfer."""
