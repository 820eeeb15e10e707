"""Keep every decision of this node in a chain that shows any flip, deletion or cut end."""

from atoll_node.audit.chain import Action, AuditLog, Decision, Verdict

__all__ = ["Action", "AuditLog", "Decision", "Verdict"]
