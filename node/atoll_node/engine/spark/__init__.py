"""Run the compiler's plans on a Spark Connect engine (Apache Spark or Sail). Needs ``atoll-node[spark]``."""
