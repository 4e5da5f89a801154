#include "base/proc.h"
#include "base/scope.h"
#include "base/sys.h"
#include "process/image.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>

// User 0 keeps its capabilities over execve. Any other, which is what we are in a user namespace
// that doesn't map user 0, has to make them ambient; the launcher's list clears that again.
static int keep_capabilities(struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (geteuid() == 0)
		return 0;
	if (syscall(SYS_capget, &head, data) < 0)
		return err_sys(err, "get capabilities");
	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		data[i].inheritable = data[i].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(err, "make capabilities inheritable");
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (data[cap / 32].permitted >> cap % 32 & 1 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_sys(err, "keep %s", process_cap_name(cap));
	}
	return 0;
}

static int keep_open(int fd, struct err *err)
{
	if (fd >= 0 && fcntl(fd, F_SETFD, 0) < 0)
		return err_sys(err, "keep descriptor %d open", fd);
	return 0;
}

// What the launcher gets beside the standard streams and the preserved ones is what it closes
// itself.
static int choose_descriptors(const struct process_plan *plan,
			      const struct process_channels *channels, struct err *err)
{
	const int first = 3 + (int)plan->env.preserve_fds;

	if (close_range((unsigned int)first, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_sys(err, "close_range");
	for (int fd = 3; fd < first; fd++) {
		if (keep_open(fd, err) < 0)
			return -err->code;
	}
	if (keep_open(channels->report_fd, err) < 0 || keep_open(channels->notify_fd, err) < 0 ||
	    keep_open(plan->attr_fd, err) < 0)
		return -err->code;
	return 0;
}

int process_enter(struct process_plan *plan, const struct process_channels *channels,
		  struct err *err)
{
	char *const argv[] = { (char *)"moat-launcher", NULL }, *const envp[] = { NULL };
	struct steps steps = steps_make(plan, channels);
	scope_text struct text image = { 0 };

	image_compose(&steps, channels, &image);
	scope_fd int fd = image_open(&image, err);
	if (fd < 0 || keep_capabilities(err) < 0 || choose_descriptors(plan, channels, err) < 0)
		return -err->code;
	proc_reset_signals();
	sys_execveat(fd, "", argv, envp, AT_EMPTY_PATH);
	return err_sys(err, "execute the launcher");
}

int process_launcher_open(const char *path, char *const *argv, char *const *envp, struct err *err)
{
	const struct process_channels channels = { .report_fd = -1, .notify_fd = -1 };
	struct step list[STEPS_PROGRAM_MAX];
	const struct steps steps = steps_make_program(path, argv, envp, list);
	scope_text struct text image = { 0 };

	image_compose(&steps, &channels, &image);
	return image_open(&image, err);
}
