"""Keep a lake's tables quick to read and no larger than its releases need."""
