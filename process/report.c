#include "process/report.h"

#include "process/process.h"

// Why a step fails with a certain errno, where the kernel's word alone leads nowhere.
static const struct {
	const char *step; // its beginning
	int code;
	const char *hint;
} hints[] = {
	{ "setgroups", EINVAL, "is every group mapped in the user namespace?" },
	{ "setgroups", EPERM, "does the user namespace deny setgroups?" },
	{ "setgid", EINVAL, "is the group mapped in the user namespace?" },
	{ "setuid", EINVAL, "is the user mapped in the user namespace?" },
	{ "seccomp", EACCES, "it needs noNewPrivileges or CAP_SYS_ADMIN" },
	{ "seccomp", EINVAL, "does this kernel know the profile's flags?" },
	{ "send the seccomp listener", EPERM, "does the profile allow sendmsg?" },
	{ "capabilities", EPERM, "does the profile allow capset?" },
	{ "AppArmor", ENOENT, "is the profile loaded?" },
	{ "SELinux", EINVAL, "is SELinux enabled, and this a context of its policy?" },
};

int process_report_err(const struct process_report *report, struct err *err)
{
	const int len = (int)strnlen(report->step, sizeof(report->step));

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		if (report->code == hints[i].code && str_starts(report->step, hints[i].step))
			return err_set(err, report->code, "%.*s: %s (%s)", len, report->step,
				       err_text(report->code), hints[i].hint);
	}
	return err_sysn(err, report->code, "%.*s", len, report->step);
}
