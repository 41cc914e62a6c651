# kedge -- `make help` lists what can be asked for.
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
SAN ?=
VERSION := 0.1.0

B := build$(if $(SAN),-san)
PKGS := libgit2 yaml-0.1 libcurl libevent_core libevent_extra libmicrohttpd jansson sqlite3 libmnl \
	libnetfilter_conntrack libseccomp libcap-ng libarchive libzstd gnutls nettle
include tests/deps.mk

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror \
	-Wno-missing-field-initializers -Wno-override-init
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(WARN) -fno-strict-aliasing -fstack-protector-strong -D_GNU_SOURCE \
	-DKEDGE_VERSION='"$(VERSION)"' -DKEDGE_PREFIX='"$(PREFIX)"' -I. -Ireconcile \
	$(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined) \
	$(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -linotifytools -lwslay
comma := ,

BASE      := $(wildcard reconcile/base/*.c)
RECONCILE := $(wildcard reconcile/*.c)
RUNTIME   := $(wildcard runtime/*.c)
NETPROXY  := $(wildcard netproxy/*.c)
CLI       := $(wildcard daemon/cli*.c)
DAEMON    := $(filter-out $(CLI) daemon/main.c,$(wildcard daemon/*.c))
LIB_OBJS  := $(patsubst %.c,$(B)/%.o,$(BASE) $(RECONCILE) $(RUNTIME) $(NETPROXY) $(DAEMON))
CLI_OBJS  := $(patsubst %.c,$(B)/%.o,$(CLI))
UNITS     := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*.c tests/worlds/*.c tests/fuzz/*.c))
FAULTS    := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fault/*.c))
DRIVERS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/e2e/*.c))
BATS      := $(sort $(wildcard tests/e2e/*.bats))

.PHONY: all help deps install uninstall test check lint bench demo clean golden format
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
	$(CC) $(ALL_CFLAGS) -o $@ $< -Wl,--start-group $(B)/libkedge.a -Wl,--end-group $(LIBS) -Wl,--as-needed

$(B)/kedge: $(CLI_OBJS) $(B)/libkedge.a
	$(CC) $(ALL_CFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS)

# Static, small, no sanitizer: it is the first process of every pod.
INIT_SRCS := $(wildcard runtime/init/*.c)
$(B)/kedge-init: $(INIT_SRCS) $(wildcard runtime/init/*.h runtime/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(WARN) -fno-strict-aliasing -D_GNU_SOURCE -I. -Os -g -static -o $@ $(INIT_SRCS)

$(B)/tests/%: tests/%.c $(B)/libkedge.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I tests -MMD -MP -o $@ $< $(shell sed -n 's|^// wrap: *||p' $<) \
		-Wl,--start-group $(B)/libkedge.a -Wl,--end-group $(LIBS) -lcmocka

-include $(shell find $(B) -name '*.d' 2>/dev/null)

## make test       every test (needs root); SAN=1 under ASan and UBSan; T=file runs one
test: deps
	$(MAKE) check
check: all $(UNITS) $(FAULTS) $(DRIVERS)
	B=$(abspath $(B)) tests/run $(if $(T),$(T),$(UNITS) $(FAULTS) $(BATS))

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-san
