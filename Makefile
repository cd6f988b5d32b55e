# Everything starts here: `make help`.
#
# Flavours live side by side, each in a folder of its own:
#   make                       build/          -O2, link-time optimisation
#   make DEBUG=1               build/debug/    -Og -g3
#   make SAN=address,undefined build/asan/     -O1 with sanitizers
#   make SAN=thread            build/tsan/
#   make CC=clang SAN=fuzzer   build/clang-fuzzer/, for `make fuzz`
#   make CC=clang              build/clang/    (and build/clang-debug/, ...)

PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := gcc
endif
AR := $(if $(findstring clang,$(CC)),ar,gcc-ar)

# -- Flavour -----------------------------------------------------------------------------------------------------------

# Instrumented code makes gcc see errors that are not there; the plain build judges warnings.
ifeq ($(SAN),address,undefined)
FLAVOUR := asan
OPT := -O1 -g -w -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(SAN),thread)
FLAVOUR := tsan
OPT := -O1 -g -w -fno-omit-frame-pointer -fsanitize=thread
else ifeq ($(SAN),fuzzer)
FLAVOUR := fuzzer
OPT := -O1 -g -w -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
else ifneq ($(SAN),)
$(error SAN is "address,undefined", "thread" or "fuzzer", not "$(SAN)")
else ifneq ($(DEBUG),)
FLAVOUR := debug
OPT := -Og -g3
else
# Fat objects, so that only the executable pays for link-time optimisation, not each of the test programs.
OPT := -O2 -g $(if $(findstring clang,$(CC)),,-flto=auto -ffat-lto-objects)
endif
FLAVOUR := $(if $(findstring clang,$(CC)),clang$(if $(FLAVOUR),-$(FLAVOUR)),$(FLAVOUR))
B := build$(if $(FLAVOUR),/$(FLAVOUR))

# -- Libraries ---------------------------------------------------------------------------------------------------------

# deploy/install-deps names their packages. libev and lua-cjson have no usable .pc file.
PKGS := luajit libuv libwebsockets libcurl libcrypto sqlite3 assimp libpng libjpeg libdeflate libwebp jansson zlib libedit \
    libseccomp
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
# libassimp, libcurl, libedit and libseccomp are loaded when they are first needed (runtime/core/lazy_library.h).
PKG_LIBS := $(filter-out -lassimp -lcurl -ledit -lseccomp,$(shell pkg-config --libs $(PKGS) 2>/dev/null))
MISSING := $(shell pkg-config --exists $(PKGS) 2>/dev/null || \
    for p in $(PKGS); do pkg-config --exists $$p 2>/dev/null || echo $$p; done) \
    $(if $(wildcard /usr/include/ev.h /usr/local/include/ev.h),,libev)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror
ifeq ($(findstring clang,$(CC)),)
WARNINGS += -Wno-format-truncation # snprintf cuts long texts on purpose
endif
CPPFLAGS += -D_GNU_SOURCE -Iruntime -Igpu $(patsubst -I%,-isystem %,$(PKG_CFLAGS))
CFLAGS ?= -fstack-protector-strong
ALL_CFLAGS = -std=c11 $(OPT) $(WARNINGS) -fPIE -pthread $(CFLAGS)
LDLIBS = $(PKG_LIBS) -lev -llua5.1-cjson -ldl -lm -pthread

# -- Files -------------------------------------------------------------------------------------------------------------

SOURCES := $(sort $(wildcard runtime/*/*.c))
OBJECTS := $(SOURCES:%.c=$(B)/obj/%.o)
TESTS := $(patsubst spec/c/%.c,$(B)/spec/%,$(sort $(wildcard spec/c/*_test.c)))
FUZZERS := $(patsubst spec/fuzz/%.c,$(B)/spec/fuzz/%,$(filter-out %/once.c,$(sort $(wildcard spec/fuzz/*.c))))
GPU_LIB := $(if $(wildcard gpu/Makefile),$(B)/gpu/libstance_gpu.a)
NETWORKS := $(if $(FLAVOUR),,networks)
PLUGIN := $(if $(FLAVOUR),,plugin)
LUA_FILES = $(shell find lua policies -name '*.lua')

.PHONY: all demo test test-fast tests fuzz fuzzers bench gpu-check models networks plugin lint install clean help deps FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/stance $(NETWORKS) $(PLUGIN) ## the executable, build/stance (default)

help: ## this list
	@grep -hE '^[a-z_.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z_.-]+):.*## /\1 /' | \
	    while read -r name words; do printf '  make %-22s %s\n' "$$name" "$$words"; done

comma := ,

# `make V=1` shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $(2)")

# -- Compile and link --------------------------------------------------------------------------------------------------

# Says at once which library is missing, rather than letting the compiler stumble over its header.
deps:
	@$(if $(strip $(MISSING)),echo "missing: $(strip $(MISSING)) (headers). Run deploy/install-deps" >&2; exit 1,:)

$(B)/obj/%.o: %.c | deps
	@mkdir -p $(@D)
	$(call say,cc,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The commit is a header of its own, rewritten only when it changes, so that a commit rebuilds one file.
$(B)/gen/commit.h: FORCE
	@mkdir -p $(@D)
	@echo "#define STANCE_COMMIT \"$$(git describe --always --dirty 2>/dev/null || echo unknown)\"" >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(B)/obj/runtime/cli/version.o: $(B)/gen/commit.h
$(B)/obj/runtime/cli/version.o: CPPFLAGS += -I$(B)/gen

# Blender's script as a string of C.
$(B)/gen/blender_script.h: runtime/media/blender.py
	@mkdir -p $(@D)
	@sed 's/[\\"]/\\&/g; s/^/"/; s/$$/\\n"/' $< >$@
$(B)/obj/runtime/media/blender_job.o: $(B)/gen/blender_script.h
$(B)/obj/runtime/media/blender_job.o: CPPFLAGS += -I$(B)/gen

# The kernels have a Makefile of their own, which knows whether anything changed.
GPU_FLAGS = BUILD=$(CURDIR)/$(B) CC="$(CC)" AR="$(AR)" CFLAGS="$(OPT)"
$(B)/gpu/libstance_gpu.a: FORCE
	$(Q)$(MAKE) $(if $(V),,-s) --no-print-directory -C gpu $(GPU_FLAGS) all

$(B)/libstance.a: $(OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# Each file was judged when it was compiled. Across files each version of gcc guesses differently: that may only warn.
$(B)/stance: $(B)/obj/runtime/main.o $(OBJECTS) $(GPU_LIB)
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-error -Wno-maybe-uninitialized -pie $(LDFLAGS) $^ $(LDLIBS) -o $@

# The spec runner and the C tests take the same objects; -rdynamic lets Lua's C modules find the host's symbols.
$(B)/stance-spec: $(B)/obj/spec/c/spec_main.o $(OBJECTS) $(GPU_LIB)
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fno-lto -pie -rdynamic $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/spec/%: $(B)/obj/spec/c/%.o $(B)/libstance.a $(GPU_LIB)
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fno-lto -pie $(LDFLAGS) $^ $(LDLIBS) -o $@

# Its allocations fail when it says so.
$(B)/spec/store_memory_fault_test: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup)

# Of the timings: our own programs, and what serves and asks beside ours.
BENCH_PROGRAMS := $(patsubst spec/bench/%_bench.c,$(B)/bench/%,$(sort $(wildcard spec/bench/*_bench.c)))
BENCHES := $(BENCH_PROGRAMS) $(patsubst spec/bench/peers/%.c,$(B)/bench/%,$(sort $(wildcard spec/bench/peers/*.c)))
$(BENCH_PROGRAMS): $(B)/bench/%: $(B)/obj/spec/bench/%_bench.o $(B)/libstance.a $(GPU_LIB)
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fno-lto -pie $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/bench/%: $(B)/obj/spec/bench/peers/%.o
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -lwebsockets -o $@

# A fuzz target runs once over its seeds, but where libFuzzer brings its own main.
$(B)/obj/spec/fuzz/%.o: CPPFLAGS += -Ispec/c -Ispec/fuzz
$(B)/spec/fuzz/%: $(B)/obj/spec/fuzz/%.o $(if $(filter fuzzer,$(SAN)),,$(B)/obj/spec/fuzz/once.o) $(B)/libstance.a $(GPU_LIB)
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fno-lto -pie -rdynamic $(if $(filter fuzzer,$(SAN)),-fsanitize=fuzzer) $(LDFLAGS) $^ $(LDLIBS) -o $@

# Its seeds are written by the kernels' checks.
$(B)/spec/fuzz/tflite: $(B)/obj/gpu/check/tflite_file.o $(B)/obj/gpu/check/graphs.o

tests: $(B)/stance $(NETWORKS) $(PLUGIN) $(if $(wildcard spec/c/spec_main.c),$(B)/stance-spec) $(TESTS) $(FUZZERS) ## everything that the tests run, without running it

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# What poses are found by: fetched once, and never in the way of a build.
networks:
	$(Q)gpu/models/fetch --if-possible

# The CUDA kernels, which the executable opens where there is a device; a line where there is no nvcc.
plugin: $(GPU_LIB)
	$(Q)$(MAKE) $(if $(V),,-s) --no-print-directory -C gpu $(GPU_FLAGS) plugin

models: ## the pose networks into build/models, by npm or curl
	$(Q)gpu/models/fetch

# -- Ways in -----------------------------------------------------------------------------------------------------------

demo: ## install what is missing, build, render pictures into build/demo/out
	@deploy/install-deps build
	@deploy/demo.sh

test: ## install what is missing, then every check there is
	@deploy/install-deps build test
	@spec/run.sh all

test-fast: tests ## C tests and unit specs, for the edit loop
	@spec/run.sh fast

fuzz: $(FUZZERS) ## with libFuzzer, FUZZ_SECONDS=30 a target (FUZZ=NAME: only that one); what it finds is kept in build/fuzz
	$(Q)$(MAKE) $(if $(V),,-s) --no-print-directory CC=clang SAN=fuzzer fuzzers
	@spec/run.sh fuzz

fuzzers: $(FUZZERS)

bench: $(B)/stance $(B)/stance-spec $(B)/spec/net_many_test $(BENCHES) ## timings: drawing, jobs, requests, memory; BENCH_PEERS=1: beside other servers
	$(Q)$(MAKE) $(if $(V),,-s) --no-print-directory -C gpu $(GPU_FLAGS) bench
	@spec/run.sh bench

gpu-check: ## the kernels against their reference, in every backend that is here
	$(Q)$(MAKE) $(if $(V),,-s) --no-print-directory -C gpu $(GPU_FLAGS) check

lint: compile_commands.json ## clang-format, clang-tidy, luacheck, shellcheck, aarch64
	@spec/lint.sh

install: $(B)/stance ## PREFIX=/usr/local DESTDIR=
	install -D -m 755 $(B)/stance $(DESTDIR)$(PREFIX)/bin/stance
	@for file in $(LUA_FILES); do install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/stance/$$file || exit 1; done
	@for file in build/models/*; do \
	    [ ! -e $$file ] || install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/stance/models/$${file##*/} || exit 1; done
	@[ ! -e $(B)/libstance_cuda.so ] || install -D -m 755 $(B)/libstance_cuda.so $(DESTDIR)$(PREFIX)/lib/stance/libstance_cuda.so
	@install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	@sed 's|@BINDIR@|$(PREFIX)/bin|' deploy/systemd/stance.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/stance.service
	@echo "installed $(words $(LUA_FILES)) scripts in $(DESTDIR)$(PREFIX)/share/stance$(if $(wildcard build/models/*),, without the pose networks (make models))"

# In clang's words, whichever compiler built last.
compile_commands.json: FORCE ## one entry a C file, for editors and clang-tidy
	@for file in runtime/main.c $(SOURCES) $(wildcard spec/*/*.c spec/bench/peers/*.c gpu/*.c gpu/*/*.c); do \
	    printf '{"directory":"%s","file":"%s","command":"clang %s -c %s"},\n' '$(CURDIR)' $$file \
	        '$(strip $(CPPFLAGS)) -I$(B)/gen -Ispec/c -Ispec/fuzz -std=c11 -pthread' $$file; \
	done | sed '1s/^/[/; $$s/,$$/]/' >$@

clean: ## forget everything that was built
	rm -rf build compile_commands.json
