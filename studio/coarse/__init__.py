"""Coarse: proteins as beads - which atoms a bead stands for, what beads feel, and the way back to atoms.

Knows structures, systems and OpenMM forces; must not know how anything is moved, recorded or shown.
"""
