"""Free atoms: polarisabilities and dispersion coefficients, the starting points of Tkatchenko-Scheffler scaling.

A table; loads nothing and knows no molecule. An atom in a molecule has the polarisability of the free atom times the
ratio of its Hirshfeld volume to that of the free atom (10.1103/PhysRevLett.102.073005).
"""

FREE_ATOMS = {
    1: (4.5, 6.5), 5: (21.0, 99.5), 6: (12.0, 46.6), 7: (7.4, 24.2), 8: (5.4, 15.6), 9: (3.8, 9.52), 14: (37.0, 305.0),
    15: (25.0, 185.0), 16: (19.6, 134.0), 17: (15.0, 94.6), 33: (29.0, 246.0), 34: (25.0, 210.0), 35: (20.0, 162.0), 53: (35.0, 385.0),
}  # fmt: skip
"""Polarisability (bohr^3) and C6 coefficient (hartree bohr^6) by atomic number (Chu and Dalgarno 2004, 10.1063/1.1779576)."""
