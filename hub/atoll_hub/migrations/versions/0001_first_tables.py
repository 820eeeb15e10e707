"""Make the hub's first tables.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GENESIS = "0" * 64


def upgrade() -> None:
    """Make every table, and the head of an empty audit chain."""
    op.create_table(
        "assertions",
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "jti"),
    )
    op.create_index(op.f("ix_assertions_expires_at"), "assertions", ["expires_at"], unique=False)
    op.create_table(
        "audit_entries",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "people",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("applied_by", "idempotency_key", name="one_project_per_key"),
        sa.UniqueConstraint("number"),
    )
    op.create_table(
        "sites",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("invited_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=True),
        sa.Column("software", sa.Text(), nullable=True),
        sa.Column("protocol", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("site"),
    )
    op.create_table(
        "applications",
        sa.Column("permit_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"],
            ["projects.id"],
        ),
        sa.ForeignKeyConstraint(
            ["site"],
            ["sites.site"],
        ),
        sa.PrimaryKeyConstraint("permit_id"),
    )
    op.create_index(op.f("ix_applications_site"), "applications", ["site"], unique=False)
    op.create_table(
        "catalog_entries",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site"],
            ["sites.site"],
        ),
        sa.PrimaryKeyConstraint("site", "dataset"),
    )
    op.create_index(op.f("ix_catalog_entries_dataset"), "catalog_entries", ["dataset"], unique=False)
    op.create_table(
        "catalogs",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("pushed_at", sa.BigInteger(), nullable=False),
        sa.Column("last_ingest", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["site"],
            ["sites.site"],
        ),
        sa.PrimaryKeyConstraint("site"),
    )
    op.create_table(
        "invitations",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_by_key", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["site"],
            ["sites.site"],
        ),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "nodes",
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site"],
            ["sites.site"],
        ),
        sa.PrimaryKeyConstraint("node_id"),
        sa.UniqueConstraint("site"),
    )
    op.create_table(
        "permits",
        sa.Column("permit_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("permit", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"],
            ["projects.id"],
        ),
        sa.ForeignKeyConstraint(
            ["site"],
            ["sites.site"],
        ),
        sa.PrimaryKeyConstraint("permit_id"),
    )
    op.create_index(op.f("ix_permits_project"), "permits", ["project"], unique=False)
    op.create_index(op.f("ix_permits_site"), "permits", ["site"], unique=False)
    op.create_table(
        "person_tokens",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"],
            ["people.name"],
        ),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(op.f("ix_person_tokens_name"), "person_tokens", ["name"], unique=False)
    op.create_table(
        "project_people",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"],
            ["people.name"],
        ),
        sa.ForeignKeyConstraint(
            ["project"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("project", "name"),
    )
    op.create_index(op.f("ix_project_people_name"), "project_people", ["name"], unique=False)
    op.create_table(
        "queries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("submission", sa.Text(), nullable=False),
        sa.Column("submission_digest", sa.Text(), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("last_event", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"],
            ["projects.id"],
        ),
        sa.ForeignKeyConstraint(
            ["submitted_by"],
            ["people.name"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("submitted_by", "idempotency_key", name="one_query_per_key"),
    )
    op.create_index(op.f("ix_queries_project"), "queries", ["project"], unique=False)
    op.create_index(op.f("ix_queries_submitted_at"), "queries", ["submitted_at"], unique=False)
    op.create_table(
        "node_tokens",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.node_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(op.f("ix_node_tokens_expires_at"), "node_tokens", ["expires_at"], unique=False)
    op.create_table(
        "query_events",
        sa.Column("query_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["query_id"],
            ["queries.id"],
        ),
        sa.PrimaryKeyConstraint("query_id", "sequence"),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("query_id", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("permit_id", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("cancel_told_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answer_fence", sa.Integer(), nullable=True),
        sa.Column("answer_digest", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["query_id"],
            ["queries.id"],
        ),
        sa.ForeignKeyConstraint(
            ["site"],
            ["sites.site"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_tasks_query_id"), "tasks", ["query_id"], unique=False)
    op.create_index("open_tasks_by_deadline", "tasks", ["state", "deadline_at"], unique=False)
    op.create_index("open_tasks_of_site", "tasks", ["site", "state"], unique=False)
    op.execute(f"insert into audit_head (id, sequence, hash) values (1, 0, '{GENESIS}')")


def downgrade() -> None:
    """Drop every table."""
    op.drop_index("open_tasks_of_site", table_name="tasks")
    op.drop_index("open_tasks_by_deadline", table_name="tasks")
    op.drop_index(op.f("ix_tasks_query_id"), table_name="tasks")
    op.drop_table("tasks")
    op.drop_table("query_events")
    op.drop_index(op.f("ix_node_tokens_expires_at"), table_name="node_tokens")
    op.drop_table("node_tokens")
    op.drop_index(op.f("ix_queries_submitted_at"), table_name="queries")
    op.drop_index(op.f("ix_queries_project"), table_name="queries")
    op.drop_table("queries")
    op.drop_index(op.f("ix_project_people_name"), table_name="project_people")
    op.drop_table("project_people")
    op.drop_index(op.f("ix_person_tokens_name"), table_name="person_tokens")
    op.drop_table("person_tokens")
    op.drop_index(op.f("ix_permits_site"), table_name="permits")
    op.drop_index(op.f("ix_permits_project"), table_name="permits")
    op.drop_table("permits")
    op.drop_table("nodes")
    op.drop_table("invitations")
    op.drop_table("catalogs")
    op.drop_index(op.f("ix_catalog_entries_dataset"), table_name="catalog_entries")
    op.drop_table("catalog_entries")
    op.drop_index(op.f("ix_applications_site"), table_name="applications")
    op.drop_table("applications")
    op.drop_table("sites")
    op.drop_table("projects")
    op.drop_table("people")
    op.drop_table("audit_head")
    op.drop_table("audit_entries")
    op.drop_index(op.f("ix_assertions_expires_at"), table_name="assertions")
    op.drop_table("assertions")
