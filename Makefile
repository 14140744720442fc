# What a developer types. `make test` is what CI runs, and then `make race`.

GO      ?= go
SOURCES := cmd configs internal templates
QUICK   := ./internal ./internal/problem ./internal/link ./internal/config ./internal/i18n ./internal/compose ./templates
REPORT  := $(GO) run ./internal/testkit/cmd/report

.PHONY: run test race check lint parts bench bench-web bench-send bench-pages chaos faults judge-abuse postfix judge-ledger

run: ## the demo: everything in one process, nothing to install but Go
	$(GO) run ./cmd/assent demo

# Nothing here needs C but the race detector: without it, what is checked, tested
# and built is compiled once.
export CGO_ENABLED = 0

# Tests wait for servers and browsers about as much as they count: one package
# more than there are processors keeps these busy.
ATONCE = -p $$(($$(nproc) + 1))

test: parts lint ## every test, on both databases
	@$(REPORT) $(GO) test -count=1 -vet=off -ldflags=-w $(ATONCE) -timeout 20m -json ./...

# The race detector watches everything but SQLite's engine, which is C compiled
# to Go and would be four times as slow under it, and two packages: the backups
# of store take five times as long, and the widget runs in a browser.
race: parts ## every test but those of the backups and the widget, with the race detector
	@$(REPORT) env CGO_ENABLED=1 $(GO) test -race -gcflags=modernc.org/sqlite/lib=-race=false -count=1 -vet=off -ldflags=-w $(ATONCE) -timeout 40m -json \
		$$($(GO) list ./... | grep -vE '/(internal/store|templates/widget)$$')

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

judge-abuse: parts ## 1,000 scanners, 10,000 sign-ups for one address, 1,600 answers timed; a line for each database
	@ASSENT_JUDGE_ABUSE=1 $(GO) test -count=1 -timeout 60m -run '^TestAbuse$$' -v ./internal/app | grep -E '^(database=|--- |FAIL|ok|    [a-z_]+\.go)'

faults: parts ## a mail server that misbehaves, people who leave, promises; a table of what came of every mail
	@$(GO) run ./internal/testkit/cmd/faults

# The judge of the log is other people's: fsck of tessera is built for it.
FSCK = github.com/transparency-dev/tessera/cmd/fsck@v1.0.4
judge-ledger: parts ## 100,000 events of fifty writers: is every one in the log, and is every row named that was tampered with?
	@mkdir -p bin && GOBIN="$$PWD/bin" $(GO) install $(FSCK)
	@$(GO) run ./internal/testkit/cmd/ledger -fsck "$$PWD/bin/fsck"

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
	[ -z "$(filter race,$(MAKECMDGOALS))" ] || command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "the tests need what is not installed; on Debian run:"; \
		echo "  sudo apt-get update && sudo apt-get install -y$$missing"; exit 1; \
	fi; \
	echo "installing$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; log=$$(mktemp); \
	{ apt-get update && apt-get install -y --no-install-recommends $$missing; } >"$$log" 2>&1 || { cat "$$log"; rm -f "$$log"; exit 1; }; \
	rm -f "$$log"
