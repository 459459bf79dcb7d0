# make run     installs what is missing, builds, and runs the main job (or JOB=my.toml) on every core granted here
# make test    installs what the tests need, builds for Open MPI, MPICH and threads only, and passes all tests, on a real Slurm too
# make build   builds ./target/release/fitjob          make help   the rest
#
# MPI=auto|openmpi|mpich|none chooses the MPI library; scripts/site.sh says how, and how HDF5 is found.

MPI   ?= auto
RANKS ?=
JOB   ?=
ARGS  ?=
SECONDS ?= 3600
export MPI

.PHONY: run build install-deps test test-long fuzz scaling bench lint clean help

run: install-deps build
	@scripts/run $(JOB) $(ARGS)
run: export RANKS := $(RANKS)

build:
	@scripts/build

install-deps:
	@scripts/install-deps run

test:
	@scripts/install-deps test
	@scripts/test

# What needs hours: statistics over many fits, hundreds of kills, every way to lose a job under Slurm.
test-long:
	@scripts/install-deps test
	@scripts/test long

# An hour for each reader of foreign bytes (SECONDS=60: less); needs nightly Rust and cargo-fuzz: fuzz/README.md
fuzz:
	@for target in job_file checkpoint journal; do fuzz/run.sh $$target $(SECONDS) || exit 1; done

# make scaling RANKS="1 2 4 8 16" [JOB=my.toml] [MPI=mpich]: table and SVG of speed-up and efficiency in bench/scaling/out
scaling: build
	@bench/scaling/run.sh $(JOB)
scaling: export RANKS := $(RANKS)

bench: build
	@scripts/bench
bench: export RANKS := $(RANKS)

lint:
	cargo fmt --check
	@scripts/build clippy --all-targets -- -D warnings

clean:
	cargo clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -5
	@echo "make run JOB=my.toml ARGS='--seed 2 --out here'     any job;  RANKS=8 sets the number of MPI ranks"
	@echo "make scaling RANKS='1 2 4 8 16'                     the same job at each rank count: table and SVG"
	@echo "make test-long                                      statistics over many seeds, many kills, all of Slurm"
	@echo "make fuzz                                           an hour for each reader of files"
	@echo "make bench                                          the comparisons in bench/"
	@echo "make lint                                           rustfmt and clippy"
