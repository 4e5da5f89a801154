#include "vm-mode/machine/cmdline.h"

#include "vm-mode/machine/layout.h"

static const char *const fixed[] = {
	"console=hvc0",
	// The end of the guest is the end of the machine, and a triple fault is what needs nobody's help.
	"reboot=t",
	"panic=-1",
	// There is nothing to be found in these ways, and each search takes time.
	"pci=off",
	"8250.nr_uarts=0",
	"i8042.noaux",
	"i8042.nokbd",
	// The clocks are KVM's: nothing to calibrate one against.
	"no_timer_check",
	"tsc=reliable",
	// 64 MiB for bounce buffers, which virtio-mmio has no use for.
	"swiotlb=noforce",
	// On one processor it would take the lock prefixes out of its code, 9,000 places one by one, each with two
	// switches of page tables: a fifth of its start in the test VM. They cost it some nanoseconds each, as they do any guest with
	// two processors.
	"noreplace-smp",
	"cryptomgr.notests",
	// No devices dummy0, ifb0 and ifb1 that nobody has asked for.
	"dummy.numdummies=0",
	"ifb.numifbs=0",
	"random.trust_cpu=on",
};

int cmdline_make(const struct cmdline *cmdline, struct text *out, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		text_printf(out, "%s%s", i > 0 ? " " : "", fixed[i]);
	text_str(out, cmdline->debug ? " ignore_loglevel" : " quiet");
	// Of a guest that dies before it has found its console nothing else tells. After `quiet`, which is
	// obeyed from its place on.
	if (cmdline->serial)
		text_str(out, " earlyprintk=ttyS0");
	for (size_t i = 0; i < cmdline->devices; i++)
		text_printf(out, " virtio_mmio.device=4K@0x%llx:%u",
			    (unsigned long long)LAYOUT_VIRTIO_AT(i), LAYOUT_IRQ(i));
	for (const char *c = cmdline->parameters; c && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return err_set(err, EINVAL, "kernel parameters: a control character");
	if (cmdline->parameters && *cmdline->parameters)
		text_printf(out, " %s", cmdline->parameters);
	if (out->len >= LAYOUT_CMDLINE_MAX)
		return err_set(err, E2BIG,
			       "kernel parameters: %zu characters, the kernel takes %d at most",
			       out->len, LAYOUT_CMDLINE_MAX - 1);
	return 0;
}
