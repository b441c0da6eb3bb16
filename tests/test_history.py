"""Migrations that make at once what several made before: the same tables; live databases go on with the old ones."""

import pytest
from django.db import connection
from django.db.migrations import RunSQL
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

AT_ONCE = sorted(MigrationLoader(None).replacements.items())


@pytest.fixture(scope="module")
def new_database():
    return MigrationLoader(None)


@pytest.fixture(scope="module")
def old_database():
    return MigrationLoader(None, replace_migrations=False)


@pytest.mark.parametrize(("key", "migration"), AT_ONCE, ids=["-".join(key) for key, _ in AT_ONCE])
def test_tables_made_at_once_are_those_made_change_by_change(new_database, old_database, key, migration):
    """With the same indexes, constraints and order of columns, and by the same statements where no table says it.

    What put rows right is not repeated: there are none.
    """
    app, last = key[0], migration.replaces[-1]
    at_once, by_change = new_database.project_state(key), old_database.project_state(last)
    assert MigrationAutodetector(by_change, at_once).changes(old_database.graph, trim_to_apps={app}) == {}
    assert columns_of(at_once, app) == columns_of(by_change, app)
    own = [each for each in old_database.graph.forwards_plan(last) if each[0] == app]
    assert migration.replaces == own
    replaced = [operation for each in own for operation in old_database.graph.nodes[each].operations]
    assert statements_of(migration.operations) == statements_of(replaced)


def columns_of(state, app):
    return {name: list(model.fields) for (owner, name), model in state.models.items() if owner == app}


def statements_of(operations):
    return [(each.sql, each.reverse_sql) for each in operations if isinstance(each, RunSQL)]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_database_goes_on_with_the_migrations_it_began_with(db, missing):
    migrations = dict(AT_ONCE)["outbox", "0001_squashed_0006"].replaces
    left = migrations[len(migrations) - missing :]
    rows = MigrationRecorder(connection).migration_qs.filter(app="outbox")
    rows.filter(name__in=["0001_squashed_0006", *(name for _, name in left)]).delete()
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    assert [(each.app_label, each.name) for each, _ in plan] == left
