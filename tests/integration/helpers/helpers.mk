# The suite's compiled helpers, made by ../run: kept in build/ so that a test VM, in which
# compilation is slow, finds them made.
CC ?= cc
CFLAGS ?= -O2 -Wall -Wextra
build := build/

helpers := recvtty recvpidfd seccompd notifyd exchange leftovers subreaper probe

all: $(addprefix $(build),$(helpers))

$(build)recvtty $(build)recvpidfd $(build)seccompd: fdsock.c fdsock.h
$(build)probe: LDFLAGS += -static

$(build)%: %.c
	@mkdir -p $(build)
	$(CC) -std=gnu17 -D_GNU_SOURCE $(CFLAGS) -o $@ $(filter %.c,$^) $(LDFLAGS)

clean:
	rm -rf $(build)

.PHONY: all clean
