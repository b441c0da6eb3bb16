# Everything runs in the project's own environment; ./run and ./test are all most people need.
DEV = python3 tools/dev.py
UV_COMPILE = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--python-version 3.11 --custom-compile-command "make lock" $(UPGRADE)

.PHONY: run test lint format bench shell lock

run:
	@./run

test:
	@./test

lint:
	@$(DEV) exec --dev -- sh -ec 'ruff check .; ruff format --check .; python -m mypy .; MYPYPATH=sdk/python/src python -m mypy --strict --config-file= sdk/python/src/farebox; python manage.py makemigrations --check --dry-run'

format:
	@$(DEV) exec --dev -- sh -ec 'ruff check --fix .; ruff format .'

# ARGS="ledger --quick" chooses. Databases of its own, as durable as in production: neither the demo's books nor the tests' speed tricks.
bench:
	@DATA_DIR=var/bench $(DEV) exec --dev -- sh -ec 'python manage.py migrate --no-input --verbosity 0; python -m benchmarks $(ARGS)'

shell:
	@$(DEV) exec -- python manage.py shell

# UPGRADE=--upgrade takes the newest versions that the pins allow.
lock:
	@$(DEV) exec --dev -- sh -ec '\
		$(UV_COMPILE) requirements.txt -o requirements.lock; \
		$(UV_COMPILE) -c requirements.lock requirements-dev.txt -o requirements-dev.lock; \
		$(UV_COMPILE) -c requirements-dev.lock requirements-browser.txt -o requirements-browser.lock'
