# What a developer types. `make test` is what CI runs.

GO      ?= go
SOURCES := cmd configs internal templates
QUICK   := ./internal ./internal/problem ./internal/link ./internal/config ./internal/i18n ./internal/compose ./templates
REPORT  := $(GO) run ./internal/testkit/cmd/report

.PHONY: run test check lint parts bench bench-web bench-send bench-pages chaos faults postfix

run: ## the demo: everything in one process, nothing to install but Go
	$(GO) run ./cmd/assent demo

# The race detector watches everything but SQLite's engine, which is C compiled
# to Go and would be four times as slow under it, and package store alone, whose
# backups it would make five times as slow; every other room races through it.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false

test: parts lint ## every test, with the race detector, on both databases
	@$(REPORT) sh -c '$(GO) test $(RACE) -count=1 -p 2 -timeout 20m -json $$($(GO) list ./... | grep -v /internal/store$$); raced=$$?; \
		$(GO) test -count=1 -timeout 20m -json ./internal/store && [ $$raced = 0 ]'

check: lint ## the quick tests: seconds, for every save
	@$(REPORT) $(GO) test -short -json $(QUICK)

lint:
	@unformatted=$$(gofmt -l $(wildcard $(SOURCES))); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	@$(GO) vet ./...

bench: ## the hot paths, one by one
	$(GO) test -run xxx -bench . -benchmem ./...

bench-web: parts ## sign-ups, opens and clicks against the built program
	@$(GO) run ./internal/testkit/cmd/bench web

bench-send: parts ## mails a second against the built program
	@$(GO) run ./internal/testkit/cmd/bench send

bench-pages: parts ## the team's pages, of a brand of 200,000 people and a million mails
	@$(GO) run ./internal/testkit/cmd/bench pages

chaos: parts ## kills the program and all it stands on while it sends, and counts at the mail server
	@$(GO) run ./internal/testkit/cmd/chaos

faults: parts ## a mail server that misbehaves, people who leave, promises; a table of what came of every mail
	@$(GO) run ./internal/testkit/cmd/faults

# Root only, and Debian: a mail server that runs for the tests alone, and two
# programs that verify signatures. What is missing is installed, and not started.
postfix: ## a campaign through Debian's Postfix, as the relay and as the receivers' server
	@missing=""; \
	command -v postfix >/dev/null || missing="$$missing postfix"; \
	command -v opendkim-testmsg >/dev/null || missing="$$missing opendkim-tools"; \
	/usr/bin/python3 -c 'import dkim, nacl, dns.resolver' 2>/dev/null || missing="$$missing python3-dkim python3-nacl python3-dnspython"; \
	if [ -n "$$missing" ]; then \
		echo "installing$$missing"; export DEBIAN_FRONTEND=noninteractive; \
		echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections && \
		apt-get update >/dev/null && apt-get install -y --no-install-recommends $$missing >/dev/null || exit 1; \
	fi
	@$(GO) run ./internal/testkit/cmd/postfix

# The real parts of the tests: what is missing is installed by root on Debian,
# and named to everybody else.
parts:
	@missing=""; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v chromium-headless-shell >/dev/null || missing="$$missing chromium-headless-shell fonts-liberation"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || [ -x "$$(pg_config --bindir 2>/dev/null)/initdb" ] || missing="$$missing postgresql"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "the tests need what is not installed; on Debian run:"; \
		echo "  sudo apt-get update && sudo apt-get install -y$$missing"; exit 1; \
	fi; \
	echo "installing$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; log=$$(mktemp); \
	{ apt-get update && apt-get install -y --no-install-recommends $$missing; } >"$$log" 2>&1 || { cat "$$log"; rm -f "$$log"; exit 1; }; \
	rm -f "$$log"
