"""Domains from the mesh files of Gmsh: the file, its elements, and the curves of the boundary."""
