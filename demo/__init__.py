"""Show the main job on one machine: three hospitals, one hub, one question, no patient row on the way."""
