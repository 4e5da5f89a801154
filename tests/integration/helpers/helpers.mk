# The suite's compiled helpers, made by ../run: kept in build/ so that a test VM, in which
# compilation is slow, finds them made.
CC ?= cc
CFLAGS ?= -O2 -Wall -Wextra
build := build/

helpers := recvtty recvpidfd seccompd notifyd exchange leftovers subreaper holdup probe fstest

all: $(addprefix $(build),$(helpers))

$(build)recvtty $(build)recvpidfd $(build)seccompd: fdsock.c fdsock.h
$(build)probe $(build)fstest: LDFLAGS += -static

define compile
	@mkdir -p $(build)
	$(CC) -std=gnu17 -D_GNU_SOURCE $(CFLAGS) -o $@ $(filter %.c,$^) $(LDFLAGS)
endef

$(build)%: %.c
	$(compile)

$(build)fstest: $(wildcard fstest/*.c) fstest/fstest.h
	$(compile)

clean:
	rm -rf $(build)

.PHONY: all clean
