"""Prove, prepare and move the store that holds the lake: only one that keeps commits may be trusted."""
