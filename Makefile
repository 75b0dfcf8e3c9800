# sarsen's commands. `make` builds the library, `make demo` shows it at work, `make test` runs every check.
#
#   make            target/release/libsarsen.so and .a; needs cargo
#   make demo       real files in, killed half-way, every byte compared; needs cargo and gcc
#   make test       everything that must pass; scripts/require.sh says what it needs
#   make soak       crash tests with real kills, KILLS=2000 of them
#   make sim        crash tests on the simulated disk, ROUNDS=50000 of them from seed SEED=1 on
#   make explore    the engine in many schedules of its threads, ITERATIONS=200 of each kind
#   make neighbours readers and a writer that are killed and stopped beside each other, ROUNDS=500 of them
#   make damage     every bit of small stores flipped, every file cut at every length
#   make powercut   power cuts of real file systems, IMAGES=200 each; as root, else skipped
#   make full-disk  CYCLES=10000 at the edge of full disks; image files as root
#   make valgrind   the C contract tests under valgrind
#   make asan       the C contract tests and the library with AddressSanitizer
#   make fuzz       the fuzz targets, SECONDS=10 each; TARGET=frame for one; make fuzz-long gives each 30 minutes
#   make install    into PREFIX=/usr/local (LIBDIR=PREFIX/lib), below DESTDIR; make uninstall takes it away again
#   make package    a tarball and Debian packages in build/packages
#   make cargo-c    installs with cargo-c below build, and tries it
#   make bench      sarsen beside its peers and the floor, hours of it; bench-quick: a minute, to see that all works
#   make go-test    the Go binding and raftstore; needs go 1.25 and pkg-config, else says so and skips; in make test
#   make cpp-bench  what a crossing from C++ to C costs
#   make go-bench   the cost of a crossing, and raftstore beside raft-boltdb
#   make node-test  the Node binding, built and tested; skipped without node and npm; in make test
#   make node-bench what a crossing from Node to C costs
#   make cli        the command line, target/cli/release/sarsen; make cli-test tests it
#   make install-cli  installs it with man pages and completions into PREFIX; make uninstall-cli takes it away again
#   make game-test  the game of examples/game, headless: killed 50 times; skipped without love and xvfb; in make test
#   make game-bench the store's share of 100,000 frames of it; fails where p99.9 is above 1 ms
#   make python-test the Python binding; skipped without python3 and its venv; in make test
#   make python-wheel a wheel that carries the library, in build/python/wheels
#   make python-bench what a crossing from Python to C costs, and sarsen beside sqlite3 and lmdb
#   make header     writes include/sarsen.h anew from src/ffi
#   make layout     writes c_tests/layout.txt, the sizes and offsets of the header's structs, anew
#   make clean

BUILD := build
TARGET := $(or $(CARGO_TARGET_DIR),target)
LIBRARY := $(TARGET)/release/libsarsen.a
STEPS := $(BUILD)/steps.txt
STEP := scripts/step.sh $(STEPS)

JOBS ?= 2
KILLS ?= 2000
ROUNDS ?= 50000
ITERATIONS ?= 200
SEED ?= 1
SECONDS ?= 10
RUNS ?= 0
LONG_SECONDS ?= 1800
LONG_RUNS ?= 50000000
IMAGES ?= 200
CYCLES ?= 10000
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
WARNINGS := -Wall -Wextra -Wpedantic -Werror
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
override CFLAGS += -std=c11 $(WARNINGS) -Iinclude
override CXXFLAGS += -std=c++17 $(WARNINGS) -Iinclude
LIBRARIES := $(LIBRARY) -lpthread -ldl -lm

EXAMPLES := $(addprefix $(BUILD)/examples/,quickstart save_game follow_log quickstart_cpp)
CPP_HEADERS := include/sarsen.hpp $(sort $(wildcard include/sarsen/*.hpp))
DEMO_SOURCES := $(sort $(wildcard examples/demo/*.c))
DEMO_HEADERS := examples/scratch.h $(sort $(wildcard examples/demo/*.h))

# A step uses all the cores it may; two at once would only disturb each other.
.NOTPARALLEL:
neighbours: ROUNDS = 500
.PHONY: all test checks steps require format lint rust-tests c-tests examples run-examples readme demo soak sim \
	explore neighbours damage powercut full-disk valgrind asan fuzz fuzz-long bench bench-quick bench-build \
	bench-draw cpp-bench header layout install uninstall package check-install cargo-c go-test go-bench \
	node-build node-test node-bench cli cli-test install-cli uninstall-cli game-test game-bench \
	python-test python-wheel python-bench clean FORCE
.DELETE_ON_ERROR:

# A program that is linked with the shared library looks for it under its soname.
all:
	cargo build --release --locked
	@ln -sf libsarsen.so $(TARGET)/release/libsarsen.so.0

# ---- everything that must pass -----------------------------------------------------------------

test: require steps
	@$(MAKE) --no-print-directory checks || { cat $(STEPS); exit 1; }
	@printf '\n'; cat $(STEPS); printf '\nall checks passed\n'

steps:
	@mkdir -p $(BUILD)
	@: >$(STEPS)

checks: all format lint rust-tests c-tests check-install run-examples readme demo go-test node-test cli-test python-test \
	game-test

require:
	@scripts/require.sh

format:
	@$(STEP) format cargo fmt --check

lint:
	@$(STEP) lint cargo clippy --locked --all-targets --features simulation -- -D warnings

# Among them: include/sarsen.h is what src/ffi says, and imports go down only.
rust-tests:
	@$(STEP) rust-tests cargo test --locked --features simulation

# The contract of the header, and 200 processes killed while they write.
c-tests:
	@$(STEP) c-build sh -c 'cmake -S . -B $(BUILD)/cmake -DCMAKE_BUILD_TYPE=Release && \
		cmake --build $(BUILD)/cmake --parallel $(JOBS)'
	@$(STEP) c-tests ctest --test-dir $(BUILD)/cmake -j $(JOBS) --output-on-failure

readme: all
	@$(STEP) readme scripts/check_readme.sh
	@$(STEP) docs-cpp scripts/check_docs.sh $(TARGET)/release docs/cpp.md
	@$(STEP) docs-cookbook scripts/check_docs.sh $(TARGET)/release docs/cookbook.md

# A program outside of the tree, by each of the ways in.
check-install: all
	@$(STEP) install scripts/check_install.sh $(TARGET)/release

# ---- examples --------------------------------------------------------------------------------------

examples: $(EXAMPLES)

run-examples: examples
	@$(STEP) examples scripts/run_examples.sh $(BUILD)/examples

# cargo knows best whether the library is up to date; it leaves the file alone if so.
$(LIBRARY): FORCE
	@cargo build --release --locked

$(BUILD)/examples/quickstart_cpp: examples/quickstart.cpp examples/scratch.h include/sarsen.h $(CPP_HEADERS) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(LDFLAGS) $< $(LIBRARIES) -o $@

$(BUILD)/examples/%: examples/%.c examples/scratch.h include/sarsen.h $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) $< $(LIBRARIES) -o $@

# ---- the demo ------------------------------------------------------------------------------------------

$(BUILD)/demo/demo: $(DEMO_SOURCES) $(DEMO_HEADERS) include/sarsen.h $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) $(DEMO_SOURCES) $(LIBRARIES) -o $@

# What goes in is what cargo has downloaded to build this: real files, and there already.
demo: $(BUILD)/demo/demo
	@cargo fetch --locked --quiet
	@scripts/demo_sources.sh >$(BUILD)/demo/sources.txt
	@rm -rf $(BUILD)/demo/run
	@$(STEP) demo $(BUILD)/demo/demo $(BUILD)/demo/sources.txt $(BUILD)/demo/run

# ---- longer runs -------------------------------------------------------------------------------------------

soak: require
	cmake -S . -B $(BUILD)/cmake -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD)/cmake --parallel $(JOBS)
	c_tests/crash/soak.sh $(BUILD)/cmake $(KILLS)

# Power losses, then histories of several threads and rot in proportion; from seed SEED on. What is simulated is
# optimised, but not as one unit as the shipped library is, which takes minutes.
sim:
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		SARSEN_SIM_CRASHES=$(ROUNDS) SARSEN_SIM_THREADS=$$(($(ROUNDS) / 20)) SARSEN_SIM_ROT=$$(($(ROUNDS) / 50)) \
		SARSEN_SIM_SEED=$(SEED) cargo test --release --target-dir $(TARGET)/sim --locked --features simulation --test crash \
		-- --nocapture --test-threads 1

# The engine in schedules that a test chooses, at each lock, wait and atomic; with wrong orders that must be noticed.
explore:
	@SARSEN_EXPLORE_ITERATIONS=$(ITERATIONS) RUSTFLAGS="--cfg sarsen_explore" $(STEP) explore \
		cargo test --locked --features simulation --lib --target-dir $(TARGET)/explore -- explored

# Readers and a writer in processes of their own, killed and stopped at random.
neighbours: require
	cmake -S . -B $(BUILD)/cmake -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD)/cmake --parallel $(JOBS) --target sarsen_neighbours
	$(BUILD)/cmake/c_tests/neighbours/sarsen_neighbours --rounds $(ROUNDS) --dir $(BUILD)/neighbours
	$(BUILD)/cmake/c_tests/neighbours/sarsen_neighbours --control acked-early --rounds 200 --dir $(BUILD)/neighbours
	$(BUILD)/cmake/c_tests/neighbours/sarsen_neighbours --control unlocked --rounds 200 --dir $(BUILD)/neighbours
	$(BUILD)/cmake/c_tests/neighbours/sarsen_neighbours --control altered --rounds 200 --dir $(BUILD)/neighbours

damage:
	SARSEN_DAMAGE_EVERY=1 cargo test --release --locked --features simulation --test damage -- --nocapture

powercut: all
	cmake -S . -B $(BUILD)/cmake -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD)/cmake --parallel $(JOBS) --target sarsen_powercut powercut_fault
	c_tests/powercut/powercut.sh $(BUILD)/cmake $(IMAGES)

full-disk:
	cmake -S . -B $(BUILD)/cmake -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD)/cmake --parallel $(JOBS) --target test_full_disk
	c_tests/full_disk.sh $(BUILD)/cmake $(CYCLES)

valgrind: require
	@$(STEP) valgrind scripts/run_valgrind.sh $(BUILD)/valgrind $(JOBS)

asan: require
	@$(STEP) asan scripts/run_asan.sh $(BUILD)/asan $(JOBS)

# Those of TARGET=..., or all; SECONDS of each, or RUNS executions. Else TARGET is where cargo builds.
FUZZED = $(if $(findstring command,$(origin TARGET)),$(TARGET))

fuzz:
	@scripts/run_fuzz.sh $(BUILD)/fuzz $(SECONDS) $(RUNS) $(FUZZED)

# All of them, each until it has had RUNS executions or SECONDS, whichever comes first.
fuzz-long:
	@scripts/run_fuzz.sh $(BUILD)/fuzz $(LONG_SECONDS) $(LONG_RUNS) $(FUZZED)

# ---- the benchmark -----------------------------------------------------------------------------------------

# BENCH: options of the program, such as "--rows get --engines floor,sarsen"; docs/PERFORMANCE.md explains it.
BENCH ?=
BENCH_EXT4_MIB ?= 4096

bench: bench-build
	bench/ext4_image.sh $(BUILD)/bench $(BENCH_EXT4_MIB) bench/run.sh $(BUILD)/bench $(BENCH)

# With its control: an engine that answers wrongly must be found out in every row.
bench-quick: bench-build
	$(BUILD)/bench/cmake/sarsen_bench --quick --control --dir $(BUILD)/bench/data
	bench/run.sh $(BUILD)/bench --quick $(BENCH)

bench-build: all
	bench/build.sh $(BUILD)/bench $(TARGET)/release/libsarsen.so

bench-draw:
	bench/draw.py $(BUILD)/bench/results.json

# ---- installing ------------------------------------------------------------------------------------------------

# Builds nothing where the library is there, so that it can be run as root after `make`.
install: $(if $(wildcard $(LIBRARY)),,all)
	DESTDIR="$(DESTDIR)" scripts/install.sh install $(TARGET)/release "$(PREFIX)" "$(LIBDIR)"

uninstall:
	DESTDIR="$(DESTDIR)" scripts/install.sh uninstall $(TARGET)/release "$(PREFIX)" "$(LIBDIR)"

package: all
	@scripts/package.sh $(TARGET)/release $(BUILD)/packages

# Builds the library once more, cargo-c's way.
cargo-c:
	@scripts/check_cargo_c.sh $(BUILD)/cargo-c

# ---- C++ --------------------------------------------------------------------------------------------------------

cpp-bench: all
	scripts/run_cpp.sh bench $(TARGET)/release $(BUILD)/cpp-bench

# ---- Go ---------------------------------------------------------------------------------------------------------

go-test: all
	@$(STEP) go-test scripts/run_go.sh test $(TARGET)/release

go-bench: all
	scripts/run_go.sh bench $(TARGET)/release

# ---- Node -------------------------------------------------------------------------------------------------------

node-build: all
	CC="$(CC)" scripts/run_node.sh "$(abspath $(LIBRARY))" build

node-test: all
	@CC="$(CC)" $(STEP) node-test scripts/run_node.sh "$(abspath $(LIBRARY))" test

node-bench: all node-build
	cd bindings/node/bench && npm ci --ignore-scripts --no-audit --no-fund && node crossing.js

# ---- the command line -------------------------------------------------------------------------------------------

# In a folder of its own: with what the command line needs, the library's dependencies have other features, and each of
# the two would be built anew whenever the other one had been. Not as one unit as the library is, which takes minutes.
CLI_TARGET := $(TARGET)/cli
CLI := $(CLI_TARGET)/release/sarsen
CLI_CARGO := --locked -p sarsen-cli --target-dir $(CLI_TARGET)

cli:
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo build --release $(CLI_CARGO)

cli-test:
	@$(STEP) cli-test sh -c 'scripts/fetch.sh "the command line" cargo fetch --locked || exit; \
		cargo fmt -p sarsen-cli --check && \
		cargo clippy $(CLI_CARGO) --all-targets -- -D warnings && cargo test $(CLI_CARGO)'

# Builds nothing where the program is there, so that it can be run as root after `make cli`.
install-cli: $(if $(wildcard $(CLI)),,cli)
	DESTDIR="$(DESTDIR)" scripts/install_cli.sh install $(CLI) "$(PREFIX)"

uninstall-cli:
	DESTDIR="$(DESTDIR)" scripts/install_cli.sh uninstall $(CLI) "$(PREFIX)"

# ---- the game ------------------------------------------------------------------------------------------------------

game-test: all
	@$(STEP) game-test scripts/run_game.sh test $(TARGET)/release $(BUILD)/game

game-bench: all
	@$(STEP) game-bench scripts/run_game.sh bench $(TARGET)/release $(BUILD)/game

# ---- Python -----------------------------------------------------------------------------------------------------

python-test: all
	@$(STEP) python-test scripts/run_python.sh test $(TARGET)/release

python-wheel: all
	@$(STEP) python-wheel scripts/run_python.sh wheel $(TARGET)/release

python-bench: all
	scripts/run_python.sh bench $(TARGET)/release

# ---- upkeep --------------------------------------------------------------------------------------------------

# The build writes its header beside its other output, never into the tree; this copies it.
header:
	SARSEN_WRITE_HEADER=1 cargo test --release --locked --test header

layout:
	c_tests/layout.sh write include/sarsen.h c_tests/layout.txt

clean:
	rm -rf $(BUILD)
	cargo clean
