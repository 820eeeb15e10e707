"""Keep and bring back what of a node is not in its store: keys, settings, permits, ledger, audit."""
