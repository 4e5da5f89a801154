/*
 * pair: times several commands against one another, interleaved.
 *
 * On a noisy machine two figures can be compared only if they were taken side by side. So every round
 * runs each contender once, in a fresh random order, and what is reported is the ratio to the first
 * contender of the same round: its median, with the quartiles as the spread.
 *
 *	pair [-r ROUNDS] [-w WARMUP] [-p PARALLEL] [-g GAP_MS] LABEL COMMAND [LABEL COMMAND]...
 *
 * A COMMAND is words separated by blanks, run without a shell. In it, %i is a name that no other run
 * has. ` ; ` separates steps, each of which must succeed. The step `@reap FILE` waits for the orphaned
 * process whose pid FILE holds: this program is the subreaper of all that it starts, as an engine's shim
 * is. With -p, a sample is so many copies of the command at once. With -g, the machine rests before each
 * sample: a start after a pause costs the kernel more (RCU, caches) than one in a loop.
 *
 * A label that ends in @v1 has its command run in a mount namespace from which /sys/fs/cgroup/unified
 * has been unmounted, for a runtime that refuses a hybrid host. The namespace is made once; entering it
 * is not in the time.
 *
 * For each contender it prints, separated by tabs: label, median time in ms, its median absolute
 * deviation, the ratio to the first contender (median, lower and upper quartile), and peak resident
 * memory in KiB: that of the command with the descendants it waited for, and of what it orphaned.
 *
 * Linked statically and small: until a child execs, it shares this program's memory, which is then part
 * of the child's peak.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONTENDERS 16
#define MAX_ROUNDS     10000
#define MAX_PARALLEL   64
#define MAX_WORDS      64
#define MAX_COMMAND    4096

struct contender {
	const char *label;
	const char *command;
	bool plain_v1;
	double *ms;
	long peak_kib;
	long orphan_peak_kib;
};

/* One copy of a command under way: the step that runs now, and what comes after it. */
struct run {
	char text[MAX_COMMAND];
	char *rest;
	pid_t pid;
};

/* How a sample is taken. */
struct setting {
	int parallel;
	int gap_ms;
};

static int host_mounts = -1, v1_mounts = -1;

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The value below which a part (0..1) of the values lies. Sorts them. */
static double quantile(double *values, int count, double part)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	double at = part * (count - 1);
	int below = (int)at;
	double above = below + 1 < count ? values[below + 1] : values[below];
	return values[below] + (above - values[below]) * (at - below);
}

static void enter_mounts(int fd)
{
	static int current = -1;

	if (fd == current || v1_mounts < 0)
		return;
	char *cwd = getcwd(NULL, 0);
	if (setns(fd, CLONE_NEWNS) < 0 || chdir(cwd) < 0)
		err(1, "enter the mount namespace");
	free(cwd);
	current = fd;
}

/* A mount namespace like the host's, without the cgroup2 of a hybrid host. */
static void make_v1_mounts(void)
{
	host_mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (host_mounts < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		err(1, "make a mount namespace");
	if (umount2("/sys/fs/cgroup/unified", MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
		err(1, "unmount /sys/fs/cgroup/unified");
	v1_mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (v1_mounts < 0)
		err(1, "open the mount namespace");
	enter_mounts(host_mounts);
}

/* Writes the command with %i replaced by a name that no other run has. */
static void fill_in(char *to, const char *from)
{
	static unsigned int serial;
	char *end = to + MAX_COMMAND - 32;

	serial++;
	for (; *from && to < end; from++) {
		if (strncmp(from, "%i", 2) == 0) {
			to += sprintf(to, "pair-%d-%u", getpid(), serial);
			from++;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static pid_t spawn(char *step)
{
	char *words[MAX_WORDS + 1], *next;
	int count = 0;

	for (char *word = strtok_r(step, " ", &next); word; word = strtok_r(NULL, " ", &next))
		if (count < MAX_WORDS)
			words[count++] = word;
	if (count == 0)
		errx(2, "an empty step");
	words[count] = NULL;
	pid_t pid = vfork();
	if (pid < 0)
		err(1, "vfork");
	if (pid == 0) {
		execvp(words[0], words);
		_exit(127);
	}
	return pid;
}

static pid_t orphan_of(const char *path)
{
	FILE *file = fopen(path, "re");
	int pid;

	if (!file || fscanf(file, "%d", &pid) != 1)
		errx(1, "no pid in %s", path);
	fclose(file);
	return pid;
}

static void note_peak(long *peak_kib, const struct rusage *usage)
{
	if (usage->ru_maxrss > *peak_kib)
		*peak_kib = usage->ru_maxrss;
}

/* Starts the next step that is a program, if there is one; waits where a step says so. */
static void run_next(struct contender *contender, struct run *run)
{
	struct rusage usage;

	run->pid = -1;
	while (run->rest && run->pid < 0) {
		char *step = run->rest;
		char *end = strstr(step, " ; ");
		run->rest = end ? end + 3 : NULL;
		if (end)
			*end = '\0';
		if (strncmp(step, "@reap ", 6) != 0)
			run->pid = spawn(step);
		else if (wait4(orphan_of(step + 6), NULL, 0, &usage) > 0)
			note_peak(&contender->orphan_peak_kib, &usage);
	}
}

/* Waits until each copy is through with all of its steps. */
static void finish(struct contender *contender, struct run *runs, int parallel)
{
	struct rusage usage;
	int status;

	for (int active = parallel; active > 0;) {
		pid_t pid = wait4(-1, &status, 0, &usage);
		struct run *run = runs;
		while (run < runs + parallel && run->pid != pid)
			run++;
		if (run == runs + parallel) {
			note_peak(&contender->orphan_peak_kib, &usage);
			continue;
		}
		note_peak(&contender->peak_kib, &usage);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			errx(1, "%s: wait status %#x: %s", contender->label, status,
			     contender->command);
		run_next(contender, run);
		if (run->pid < 0)
			active--;
	}
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double sample(struct contender *contender, const struct setting *setting)
{
	const int parallel = setting->parallel;
	static struct run runs[MAX_PARALLEL];

	enter_mounts(contender->plain_v1 ? v1_mounts : host_mounts);
	for (int i = 0; i < parallel; i++) {
		fill_in(runs[i].text, contender->command);
		runs[i].rest = runs[i].text;
		runs[i].pid = 0;
	}
	usleep((useconds_t)setting->gap_ms * 1000);
	double start = now_ms();
	for (int i = 0; i < parallel; i++)
		run_next(contender, &runs[i]);
	finish(contender, runs, parallel);
	return now_ms() - start;
}

/* One round: every contender once, in an order of its own, so that what one leaves to the kernel to
 * clean up later does not always fall to the same next one. */
static void run_round(struct contender *contenders, int count, const struct setting *setting,
		      int round)
{
	int order[MAX_CONTENDERS] = { 0 };

	for (int i = 0; i < count; i++) {
		uint32_t random;
		if (getrandom(&random, sizeof(random), 0) < 0)
			err(1, "getrandom");
		int k = (int)(random % (unsigned int)(i + 1));
		order[i] = order[k];
		order[k] = i;
	}
	for (int i = 0; i < count; i++) {
		struct contender *contender = &contenders[order[i]];
		double ms = sample(contender, setting);
		if (round >= 0)
			contender->ms[round] = ms;
	}
}

static void report(const struct contender *contenders, int count, int rounds)
{
	static double ratios[MAX_ROUNDS], values[MAX_ROUNDS];

	for (int i = 0; i < count; i++) {
		const struct contender *c = &contenders[i];
		for (int r = 0; r < rounds; r++)
			ratios[r] = c->ms[r] / contenders[0].ms[r];
		memcpy(values, c->ms, sizeof(*values) * (size_t)rounds);
		double median = quantile(values, rounds, 0.5);
		for (int r = 0; r < rounds; r++)
			values[r] = values[r] > median ? values[r] - median : median - values[r];
		printf("%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%ld\t%ld\n", c->label, median,
		       quantile(values, rounds, 0.5), quantile(ratios, rounds, 0.5),
		       quantile(ratios, rounds, 0.25), quantile(ratios, rounds, 0.75), c->peak_kib,
		       c->orphan_peak_kib);
	}
}

static int number(const char *text, int max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || value < 0 || value > max)
		errx(2, "'%s' is not a number from 0 to %d", text, max);
	return (int)value;
}

int main(int argc, char **argv)
{
	static struct contender contenders[MAX_CONTENDERS];
	int rounds = 50, warmup = 3, count = 0;
	struct setting setting = { .parallel = 1 };

	for (int c; (c = getopt(argc, argv, "+r:w:p:g:")) != -1;) {
		if (c == 'r')
			rounds = number(optarg, MAX_ROUNDS);
		else if (c == 'w')
			warmup = number(optarg, MAX_ROUNDS);
		else if (c == 'p')
			setting.parallel = number(optarg, MAX_PARALLEL);
		else if (c == 'g')
			setting.gap_ms = number(optarg, 10000);
		else
			return 2;
	}
	for (; optind + 1 < argc && count < MAX_CONTENDERS; optind += 2, count++) {
		struct contender *c = &contenders[count];
		c->label = argv[optind];
		c->command = argv[optind + 1];
		c->plain_v1 = strstr(c->label, "@v1") != NULL;
		c->ms = calloc((size_t)rounds, sizeof(*c->ms));
		if (!c->ms)
			err(1, "calloc");
		if (c->plain_v1 && v1_mounts < 0)
			make_v1_mounts();
	}
	if (count == 0 || rounds == 0 || setting.parallel == 0)
		errx(2,
		     "usage: pair [-r ROUNDS] [-w WARMUP] [-p PARALLEL] [-g GAP_MS] LABEL COMMAND...");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		err(1, "become the subreaper");
	for (int round = -warmup; round < rounds; round++)
		run_round(contenders, count, &setting, round);
	report(contenders, count, rounds);
	return 0;
}
