"""Voxel keys and look-up, interpolation, fusion, observation state and meshes."""
