// The launcher: runs a list of system calls, the last of which is execve. See process.h for why it
// exists.
//
// A program by itself: no C library, no start files, no writable data but the list, which image.c
// puts into its data segment. It is compiled with flags of its own (Makemodule.am).
#include "process/launch.h"

#include <sys/syscall.h>

struct launch_list launch_list __attribute__((section(".data"))) = { .report_fd = -1 };

static long launcher_syscall(long nr, const uint64_t args[6])
{
	long result;

#if defined(__x86_64__)
	__asm__ volatile("movq 24(%[args]), %%r10\n\t"
			 "movq 32(%[args]), %%r8\n\t"
			 "movq 40(%[args]), %%r9\n\t"
			 "syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(args[0]), "S"(args[1]), "d"(args[2]), [args] "b"(args)
			 : "rcx", "r8", "r9", "r10", "r11", "memory");
#elif defined(__aarch64__)
	__asm__ volatile("mov x8, %[nr]\n\t"
			 "mov x9, %[args]\n\t"
			 "ldp x0, x1, [x9]\n\t"
			 "ldp x2, x3, [x9, #16]\n\t"
			 "ldp x4, x5, [x9, #32]\n\t"
			 "svc #0\n\t"
			 "mov %[result], x0"
			 : [result] "=&r"(result)
			 : [nr] "r"(nr), [args] "r"(args)
			 : "x0", "x1", "x2", "x3", "x4", "x5", "x8", "x9", "memory");
#else
#error "the launcher doesn't know how this machine makes a system call"
#endif
	return result;
}

static void launcher_report(struct launch_list *list, int code, const char *name)
{
	struct process_report *report = &list->report;
	uint64_t args[6] = { (uint64_t)list->report_fd, (uint64_t)report, sizeof(*report) };

	report->code = code;
	for (unsigned int i = 0; i < sizeof(report->step) - 1 && name[i]; i++)
		report->step[i] = name[i];
	launcher_syscall(SYS_write, args);
}

__attribute__((noreturn, used)) void _start(void);

void _start(void)
{
	struct launch_list *list = &launch_list;

	// The compiler sees a list without calls: it must not reckon with that.
	__asm__("" : "+r"(list));
	for (uint32_t i = 0; i < list->count; i++) {
		const struct launch_call *call = &list->calls[i];
		long result = launcher_syscall(call->nr, call->args);

		if (result < 0 && result > -64 && (call->accept >> -result & 1))
			continue;
		if (result < 0) {
			launcher_report(list, (int)-result, call->name);
			break;
		}
		if (call->save)
			*call->save = (int)result;
	}
	launcher_syscall(SYS_exit_group, (const uint64_t[6]){ 1 });
	// A seccomp filter may refuse even that; this ends the process by a signal.
	__builtin_trap();
}
