import json
import os
import stat

import pytest

from config import local
from config.local import load_local_environment, read_env_file
from tools.launcher.localenv import SECRETS, ensure_secrets


def test_first_start_makes_secrets_that_only_the_owner_may_read(tmp_path):
    ensure_secrets(tmp_path / ".env")
    values = read_env_file(tmp_path / ".env")
    assert set(values) == set(SECRETS)
    assert all(len(value) >= 50 for value in values.values())
    assert len(set(values.values())) == len(SECRETS)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_secrets_are_never_replaced_and_only_missing_ones_added(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# mine\nSECRET_KEY=kept\nPORT=8100")
    ensure_secrets(file)
    ensure_secrets(file)
    values = read_env_file(file)
    assert file.read_text().startswith("# mine\nSECRET_KEY=kept\nPORT=8100\n")
    assert (values["SECRET_KEY"], values["PORT"]) == ("kept", "8100")
    assert file.read_text().count("FIELD_ENCRYPTION_KEYS") == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("NAME=value", {"NAME": "value"}),
        ("export NAME=value", {"NAME": "value"}),
        ("NAME='a b'", {"NAME": "a b"}),
        ('NAME="a=b#c"', {"NAME": "a=b#c"}),
        ("  NAME = value  ", {"NAME": "value"}),
        ("NAME=", {"NAME": ""}),
        ("#NAME=value", {}),
        ("words without a sign", {}),
    ],
)
def test_lines_of_the_file(tmp_path, line, expected):
    (tmp_path / ".env").write_text(line + "\n")
    assert read_env_file(tmp_path / ".env") == expected


def test_environment_wins_over_file_and_file_over_running_start(tmp_path, monkeypatch):
    (tmp_path / "env").write_text(f"A=file\nB=file\nDATA_DIR={tmp_path}\n")
    (tmp_path / "run.json").write_text(json.dumps({"environment": {"A": "run", "B": "run", "C": "run"}}))
    for name in ("B", "C", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("A", "environment")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "env"))
    monkeypatch.setattr(os, "environ", dict(os.environ))

    load_local_environment()

    assert [os.environ[name] for name in "ABC"] == ["environment", "file", "run"]


def test_production_without_files_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("ENV_FILE", "")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    before = dict(os.environ)
    load_local_environment()
    assert dict(os.environ) == before


def test_commands_find_a_start_on_another_folder_by_themselves(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.json").write_text(json.dumps({"environment": {"DATABASE_URL": "there"}}))
    (tmp_path / ".venv").mkdir()
    (tmp_path / local.LAST_FOLDER).write_text(str(elsewhere))
    monkeypatch.setattr(local, "ROOT", tmp_path)

    def found(**environment):
        monkeypatch.setattr(os, "environ", {"ENV_FILE": "", **environment})
        load_local_environment()
        return os.environ.get("DATA_DIR"), os.environ.get("DATABASE_URL")

    assert found() == (str(elsewhere), "there")
    assert found(DATABASE_URL="named") == (None, "named")
    assert found(DATA_DIR=str(tmp_path)) == (str(tmp_path), None)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run.json").write_text(json.dumps({"environment": {"DATABASE_URL": "here"}}))
    assert found() == (None, "here")
    (tmp_path / "var" / "run.json").unlink()
    (elsewhere / "run.json").unlink()
    assert found() == (None, None)
