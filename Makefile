# kedge -- `make help` lists what can be asked for.
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
SAN ?=
VERSION := 0.1.0

B := build$(if $(SAN),-san)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
PKGS := libgit2 yaml-0.1 libcurl libevent_core libevent_extra ldns libmicrohttpd jansson sqlite3 libmnl \
	libnetfilter_conntrack libseccomp libcap-ng libarchive zlib libzstd gnutls nettle
# inflates layers three times as fast; without it zlib does
ISAL := $(shell pkg-config --exists libisal 2>/dev/null && echo libisal)
PKGS += $(ISAL)
.DEFAULT_GOAL := all
include tests/deps.mk

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror \
	-Wno-missing-field-initializers -Wno-override-init
# Lines for a backtrace; whoever sits at a debugger has CFLAGS="-O1 -g3".
CFLAGS ?= -O2 -g1
ALL_CFLAGS = -std=gnu17 $(WARN) -fno-strict-aliasing -fstack-protector-strong -D_GNU_SOURCE \
	-DKEDGE_VERSION='"$(VERSION)"' -DKEDGE_PREFIX='"$(PREFIX)"' -I. -Ireconcile \
	$(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined) \
	$(if $(ISAL),-DKEDGE_ISAL) $(PKG_CFLAGS) $(CFLAGS)
LIBS = $(PKG_LIBS) -linotifytools -lwslay
comma := ,
# pkg-config is asked once, when the first command needs its answer: not for each of 400 files, and not before `make deps` is done.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null))$(PKG_LIBS)

BASE      := $(wildcard reconcile/base/*.c)
RECONCILE := $(wildcard reconcile/*.c)
RUNTIME   := $(wildcard runtime/*.c)
NETPROXY  := $(wildcard netproxy/*.c)
CLI       := daemon/cli.c
DAEMON    := $(filter-out $(CLI) daemon/main.c,$(wildcard daemon/*.c))
LIB_OBJS  := $(patsubst %.c,$(B)/%.o,$(BASE) $(RECONCILE) $(RUNTIME) $(NETPROXY) $(DAEMON))
CLI_OBJS  := $(patsubst %.c,$(B)/%.o,$(CLI))
UNITS     := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*.c tests/worlds/*.c tests/fuzz/*.c))
FAULTS    := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fault/*.c))
DRIVERS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/e2e/*.c))
# Those that take longest begin first, so that none of them runs alone at the end.
LONG      := $(patsubst %,tests/e2e/%.bats,zeroloss zeroloss_nftables walkthrough policy policy_legacy policy_nftables survive api api_write pull)
BATS      := $(LONG) $(filter-out $(LONG),$(sort $(wildcard tests/e2e/*.bats)))

.PHONY: all help deps install uninstall test test-fresh test-vm check lint bench demo demo-deps images test-images clean format golden
all: $(B)/kedged $(B)/kedge $(B)/kedge-init

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make            build/kedged, build/kedge, build/kedge-init
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/libkedge.a: $(LIB_OBJS)
	@rm -f $@
	ar rcs $@ $^

$(B)/kedged: $(B)/daemon/main.o $(B)/libkedge.a
	$(CC) $(ALL_CFLAGS) -Wl,--as-needed -o $@ $< $(B)/libkedge.a $(LIBS)

$(B)/kedge: $(CLI_OBJS) $(B)/libkedge.a
	$(CC) $(ALL_CFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS)

# The first process of every pod: no libc, no sanitizer, a few pages.
INIT_SRCS := $(wildcard runtime/init/*.c)
INIT_FLAGS := -Os -g -ffreestanding -nostdlib -static -no-pie -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -Wl,-z,noseparate-code,--build-id=none
$(B)/kedge-init: $(INIT_SRCS) $(wildcard runtime/init/*.h runtime/init/*.def runtime/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) -fno-strict-aliasing -D_GNU_SOURCE -I. $(INIT_FLAGS) -o $@ $(INIT_SRCS)

$(B)/tests/%: tests/%.c $(B)/libkedge.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I tests -MMD -MP -o $@ $< $(shell sed -n 's|^// wrap: *||p' $< \
		$$(sed -n 's|^#include "\(fault/.*\)".*|tests/\1|p' $<)) \
		-Wl,--as-needed $(B)/libkedge.a $(LIBS) -lcmocka

-include $(shell find $(B) -path $(B)/vm -prune -o -name '*.d' -type f -print 2>/dev/null)

LINTS := tests/lint/includes.sh tests/lint/pure.sh tests/lint/format.sh tests/lint/bats.sh

## make test       every test (needs root); SAN=1 under ASan and UBSan; T=file runs one
test: deps
	$(MAKE) check
check: all images test-images $(UNITS) $(FAULTS) $(DRIVERS)
	B=$(abspath $(B)) tests/run $(if $(T),$(T),$(LINTS) $(UNITS) $(FAULTS) $(BATS))

## make test-fresh the README's two commands in a minimal Debian made by debootstrap
test-fresh:
	tests/fresh

## make test-vm    the cgroup v2 tests under a Debian kernel in qemu
test-vm: all
	tests/vm

## make demo       the main job on this host, and away again; KEEP=1 leaves it running
demo: demo-deps
	@$(MAKE) -s all images
	@B=$(abspath $(B)) KEEP=$(KEEP) repo-example/demo.sh

# The example's images, as root trees.
images:
	@$(MAKE) -s -C repo-example/images O=$(abspath $(B))/images CC="$(CC)"
# What the end-to-end tests run in pods.
test-images:
	@$(MAKE) -s -C tests/e2e/images O=$(abspath $(B))/images CC="$(CC)"

# The bench's pods run a static program of their own; the rest of it are drivers, one of them the
# tests' own (netproxy_kit.bash).
BORN    := $(B)/tests/bench/born.root/born
BENCHES := $(BORN) $(B)/tests/e2e/netproxy_drive $(patsubst %.c,$(B)/%,$(filter-out %/born.c,$(wildcard tests/bench/*.c)))
$(BORN): tests/bench/born.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) -D_GNU_SOURCE -O2 -s -static -nostdlib -ffreestanding \
		-fno-stack-protector -mgeneral-regs-only -o $@ $<

# Where work is counted, the core counts its steps.
STEPS   := $(patsubst %.c,$(B)/steps/%.o,$(BASE) $(RECONCILE))
COUNTED := $(B)/tests/bench/settled $(B)/tests/unit/t_work
$(B)/steps/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fsanitize-coverage=trace-pc -MMD -MP -c -o $@ $<
$(COUNTED): $(B)/tests/%: tests/%.c $(STEPS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I tests -MMD -MP -o $@ $< $(shell sed -n 's|^// wrap: *||p' $<) \
		$(STEPS) -Wl,--as-needed $(LIBS) -lcmocka

## make bench      kedge, the floor and the installed peers in one run; build/bench.json
bench: all images $(BENCHES)
	B=$(abspath $(B)) tests/bench/run

## make lint       clang-format, clang-tidy, cppcheck, include directions, purity
SRCS := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
TIDY := $(patsubst %.c,$(B)/tidy/%,$(filter-out tests/%,$(filter %.c,$(SRCS))))
lint: $(B)/libkedge.a
	B=$(abspath $(B)) tests/run $(LINTS)
	cppcheck -q -j 2 --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability \
		--suppressions-list=tests/lint/cppcheck.txt \
		--include=tests/lint/cppcheck.h -I. -Ireconcile daemon reconcile runtime netproxy repo-example
	@echo "clang-tidy"
	@$(MAKE) --no-print-directory -k $(TIDY)

# A file is looked at anew when it, a header of it or the list of checks changes.
$(B)/tidy/%: %.c $(B)/%.o .clang-tidy
	@mkdir -p $(@D)
	@clang-tidy --quiet $< -- $(ALL_CFLAGS) -Wno-unknown-warning-option 2>/dev/null && touch $@

## make format     runs clang-format over everything
## make golden     tests/golden anew from what the code does now; git diff is the review
golden: $(filter $(B)/tests/unit/%,$(UNITS))
	for t in $^; do if grep -q KEDGE_GOLDEN tests/unit/$${t##*/}.c; then KEDGE_GOLDEN=write $$t || exit 1; fi; done

format:
	clang-format -i $(SRCS)

## make install    honours PREFIX and DESTDIR
SHARE := $(DESTDIR)$(PREFIX)/share
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/kedge \
		$(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)/etc/kedge \
		$(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/man/man8 $(SHARE)/bash-completion/completions \
		$(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	install -m 755 $(B)/kedged $(DESTDIR)$(PREFIX)/sbin/kedged
	install -m 755 $(B)/kedge $(DESTDIR)$(PREFIX)/bin/kedge
	install -m 755 $(B)/kedge-init $(DESTDIR)$(PREFIX)/libexec/kedge/kedge-init
	sed 's|@PREFIX@|$(PREFIX)|' daemon/systemd/kedged.service.in > $(DESTDIR)$(PREFIX)/lib/systemd/system/kedged.service
	install -m 644 daemon/systemd/kedge.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/kedge.conf
	[ -e $(DESTDIR)/etc/kedge/kedge.yaml ] || install -m 644 daemon/systemd/kedge.yaml $(DESTDIR)/etc/kedge/kedge.yaml
	install -m 644 daemon/man/kedged.8 $(SHARE)/man/man8/kedged.8
	$(B)/kedge help --man > $(SHARE)/man/man1/kedge.1
	$(B)/kedge help --man kedge.yaml > $(SHARE)/man/man5/kedge.yaml.5
	$(B)/kedge completion bash > $(SHARE)/bash-completion/completions/kedge
	$(B)/kedge completion zsh > $(SHARE)/zsh/site-functions/_kedge
	$(B)/kedge completion fish > $(SHARE)/fish/vendor_completions.d/kedge.fish
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/kedged.service $(SHARE)/man/man1/kedge.1 $(SHARE)/man/man5/kedge.yaml.5 \
		$(SHARE)/bash-completion/completions/kedge $(SHARE)/zsh/site-functions/_kedge \
		$(SHARE)/fish/vendor_completions.d/kedge.fish

## make uninstall  the same; stops nothing, leaves /etc/kedge
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/kedged $(DESTDIR)$(PREFIX)/bin/kedge \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/kedged.service $(DESTDIR)$(PREFIX)/lib/sysusers.d/kedge.conf \
		$(SHARE)/man/man1/kedge.1 $(SHARE)/man/man5/kedge.yaml.5 $(SHARE)/man/man8/kedged.8 \
		$(SHARE)/bash-completion/completions/kedge $(SHARE)/zsh/site-functions/_kedge \
		$(SHARE)/fish/vendor_completions.d/kedge.fish
	rm -rf $(DESTDIR)$(PREFIX)/libexec/kedge
	@echo "kedge's files are gone from $(DESTDIR)$(PREFIX). What runs was not stopped; the settings in" \
		"$(DESTDIR)/etc/kedge and the user kedge are left."

clean:
	rm -rf build build-san
