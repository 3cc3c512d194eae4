# make test   everything that must hold before a change is merged
# make demo   the main job on real software, told step by step
# make lint   cargo-deny: advisories, licences, bans, sources (compiles cargo-deny the first time)
# make test-long   the slow stories: 500 rounds of kill -9, ten minutes of each fuzz target
# make bench  how long a publish takes, beside the real notary; signatures a second, beside the bare token

.PHONY: setup demo test test-long lint bench
.DELETE_ON_ERROR:

CARGO ?= cargo
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/signet
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TERM_PROGRESS_WHEN ?= never

# The stories run the binaries of this very build.
STORIES = SIGNET_BIN_DIR='$(CARGO_TARGET_DIR)/debug' $(CARGO) test --locked --no-fail-fast

# Fuzz targets are tests whose names begin with fuzz_: 30 seconds each, or as long as is said.
FUZZ = SIGNET_FUZZ_SECONDS="$${SIGNET_FUZZ_SECONDS:-30}" $(CARGO) test --locked --workspace --lib --bins --test it -- fuzz_ --nocapture

setup:
	@tests/setup.sh

demo: setup
	@demo/run

test: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) build --locked --workspace --all-targets
	$(STORIES) --workspace
	$(FUZZ)

test-long: setup
	$(CARGO) build --locked --workspace --all-targets
	SIGNET_KILL_ROUNDS=500 $(STORIES) --workspace -- --nocapture
	SIGNET_FUZZ_SECONDS=600 $(FUZZ)

bench: setup
	$(CARGO) build --locked --release -p signet -p signet-agent
	SIGNET_BIN_DIR='$(CARGO_TARGET_DIR)/release' $(CARGO) run --locked -q -p signet-tests --bin bench
	$(CARGO) test --locked --release -q -p signet-agent --lib keystore::tests::speed -- --ignored --nocapture

lint: $(CACHE)/tools/bin/cargo-deny
	PATH='$(CACHE)/tools/bin':"$$PATH" $(CARGO) deny --locked check bans licenses sources
	PATH='$(CACHE)/tools/bin':"$$PATH" $(CARGO) deny --locked check advisories

$(CACHE)/tools/bin/cargo-deny:
	@echo 'lint: compiling cargo-deny into $(CACHE)/tools, once' >&2
	$(CARGO) install --locked --root '$(CACHE)/tools' --target-dir '$(CACHE)/tools/target' cargo-deny
	rm -rf '$(CACHE)/tools/target'
