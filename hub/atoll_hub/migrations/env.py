"""Run migrations on the connection that ``migrate`` hands over."""

from alembic import context

from atoll_hub import tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables.metadata, transactional_ddl=True)
context.run_migrations()
