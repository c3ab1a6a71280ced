"""Speed as ratios: each figure compares two things run in turn, in one process run, on one machine."""
