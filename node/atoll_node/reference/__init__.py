"""Judge the engines: evaluate a query in plain Python, slowly and obviously, from rows to raw aggregate.

It shares no code with ``atoll_node.engine``. It reads the tables as lists of rows, follows the published
semantics of Circe sentence by sentence, and computes in integers and fractions.
"""

from atoll_node.reference.evaluation import evaluate

__all__ = ["evaluate"]
