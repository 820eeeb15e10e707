"""Commit while everything breaks, and look after each fault whether a row was lost, doubled or hidden."""
