"""Gazebo worlds as captures: SDF and mesh files in, RGB-D frames with labels and complete ground truth out."""
