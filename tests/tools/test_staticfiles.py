import os

import pytest

from tools.launcher.staticfiles import are_current, mark_current


@pytest.fixture
def project(tmp_path):
    for name in ("requirements.lock", "config/settings.py", "static/css/site.css", "var/static/staticfiles.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    mark_current(tmp_path, tmp_path / "var")
    return tmp_path


def test_unchanged_sources_need_no_collecting(project):
    assert are_current(project, project / "var")


@pytest.mark.parametrize("changed", ["requirements.lock", "config/settings.py", "static/css/site.css"])
def test_changed_source_does(project, changed):
    (project / changed).write_text("another")
    assert not are_current(project, project / "var")


def test_touched_new_and_lost_files_do(project):
    os.utime(project / "static/css/site.css", ns=(1, 1))
    assert not are_current(project, project / "var")
    mark_current(project, project / "var")
    (project / "static/new.js").touch()
    assert not are_current(project, project / "var")
    mark_current(project, project / "var")
    (project / "var/static/staticfiles.json").unlink()  # collecting was cut short
    assert not are_current(project, project / "var")
