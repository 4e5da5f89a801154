// The command line: global options, then a verb.

#include "base/log.h"
#include "base/str.h"
#include "oci-spec/spec.h"
#include "runtime/rootless.h"
#include "runtime/runtime.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct verb *const verbs[] = {
	&verb_create, &verb_start, &verb_run,	   &verb_exec,	&verb_kill,   &verb_delete,
	&verb_list,   &verb_ps,	   &verb_state,	   &verb_pause, &verb_resume, &verb_update,
	&verb_events, &verb_spec,  &verb_features, &verb_check,
};

struct global {
	const char *root, *log, *log_format, *log_level, *cgroup_manager, *rootless;
	bool debug, systemd_cgroup, vm, version;
};

#define AT(member) offsetof(struct global, member)
static const struct option_row global_options[] = {
	{ "root", 0, OPTION_STRING, AT(root), "DIR",
	  "where the state of containers is kept (default: /run/moat; of an ordinary user: "
	  "$XDG_RUNTIME_DIR/moat)" },
	{ "log", 0, OPTION_STRING, AT(log), "TARGET",
	  "FILE, file:FILE, journald:ID or syslog:ID (default: standard error)" },
	{ "log-format", 0, OPTION_STRING, AT(log_format), "FORMAT", "text (default) or json" },
	{ "log-level", 0, OPTION_STRING, AT(log_level), "LEVEL",
	  "error, warning (default), info or debug" },
	{ "debug", 0, OPTION_FLAG, AT(debug), NULL, "the same as --log-level debug" },
	{ "systemd-cgroup", 0, OPTION_FLAG, AT(systemd_cgroup), NULL,
	  "the same as --cgroup-manager systemd" },
	{ "cgroup-manager", 0, OPTION_STRING, AT(cgroup_manager), "DRIVER",
	  "cgroupfs (default), systemd or disabled" },
	{ "rootless", 0, OPTION_STRING, AT(rootless), "WHEN", "true, false or auto (default)" },
	{ "vm", 0, OPTION_FLAG, AT(vm), NULL, "isolate containers as microVMs" },
	{ "version", 'v', OPTION_FLAG, AT(version), NULL, "print the version" },
	{ 0 },
};
#undef AT

// A word of a small table: its index, or an error that lists the words.
static int choose(const char *option, const char *word, const char *const *words, size_t n,
		  struct err *err)
{
	scope_text struct text list = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (str_eq(word, words[i]))
			return (int)i;
		text_printf(&list, "%s%s", i ? ", " : "", words[i]);
	}
	return err_set(err, EINVAL, "option --%s: `%s` is none of %s", option, word, list.str);
}

static int open_log(const struct global *global, struct err *err)
{
	static const char *const formats[] = { [LOG_TEXT] = "text", [LOG_JSON] = "json" };
	static const char *const levels[] = {
		[LOG_ERROR] = "error", [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"
	};
	int format = LOG_TEXT, level = LOG_WARN;

	if (global->log_format && (format = choose("log-format", global->log_format, formats,
						   ARRAY_SIZE(formats), err)) < 0)
		return format;
	if (global->debug)
		level = LOG_DEBUG;
	else if (global->log_level && str_eq(global->log_level, "warn"))
		level = LOG_WARN;
	else if (global->log_level && (level = choose("log-level", global->log_level, levels,
						      ARRAY_SIZE(levels), err)) < 0)
		return level;
	return log_open(global->log, (enum log_format)format, (enum log_level)level, err);
}

static int choose_cgroup_driver(const struct global *global, struct runtime *rt, struct err *err)
{
	static const char *const drivers[] = {
		[CGROUP_CGROUPFS] = "cgroupfs", [CGROUP_SYSTEMD] = "systemd", [CGROUP_DISABLED] = "disabled"
	};
	int driver = global->systemd_cgroup ? CGROUP_SYSTEMD : CGROUP_CGROUPFS;

	if (global->cgroup_manager)
		driver = choose("cgroup-manager", global->cgroup_manager, drivers,
				ARRAY_SIZE(drivers), err);
	if (driver < 0)
		return driver;
	rt->cgroup_driver = (enum cgroup_driver)driver;
	return 0;
}

static int choose_root(const char *root, struct runtime *rt, struct err *err)
{
	const char *user_dir = getenv("XDG_RUNTIME_DIR");
	char cwd[PATH_MAX];

	if (!root && rt->rootless && user_dir && *user_dir)
		rt->root = arena_printf(rt->arena, "%s/moat", user_dir);
	else if (!root && geteuid() == 0)
		rt->root = "/run/moat";
	else if (!root)
		rt->root = arena_printf(rt->arena, "/run/user/%u/moat", geteuid());
	else if (*root == '/')
		rt->root = root;
	else if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(err, "working directory");
	else
		rt->root = arena_printf(rt->arena, "%s/%s", cwd, root);
	return 0;
}

static int settle(const struct global *global, struct runtime *rt, struct err *err)
{
	static const char *const whens[] = { "false", "true", "auto" };
	int when = choose("rootless", global->rootless ? global->rootless : "auto", whens,
			  ARRAY_SIZE(whens), err);

	if (when < 0)
		return when;
	rt->rootless = when == 2 ? rootless_detect() : when == 1;
	rt->debug = global->debug;
	rt->vm = global->vm || str_eq(basename(rt->argv[0]), "moat-vm");
	if (choose_cgroup_driver(global, rt, err) < 0)
		return -err->code;
	return choose_root(global->root, rt, err);
}

static void print_help(void)
{
	puts("Usage: moat [OPTIONS] VERB [VERB'S OPTIONS] [ARGUMENTS]\n\n"
	     "An OCI container runtime that isolates a bundle as a process or as a microVM.\n\nVerbs:");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	puts("\nOptions:");
	options_help(global_options);
	puts("\n`moat help VERB` tells a verb's own.");
}

static void print_version(void)
{
	puts("moat version " PACKAGE_VERSION "\nspec: " SPEC_VERSION);
}

static void print_verb_help(const struct verb *verb)
{
	printf("Usage: moat %s [OPTIONS]%s%s\n\n%s\n\nOptions:\n", verb->name,
	       *verb->usage ? " " : "", verb->usage, verb->summary);
	options_help(verb->options);
}

// An error goes to the log, for engines, and to standard error, for people.
static int fail(const struct err *err, int status)
{
	log_error("%s", err->msg);
	if (log_fd() != STDERR_FILENO)
		fprintf(stderr, "%s\n", err->msg);
	return status ? status : 1;
}

static int run_verb(const struct runtime *rt, const struct verb *verb, struct option_rest rest)
{
	void *settings = arena_alloc(rt->arena, verb->settings_size);
	struct err err = { 0 };
	int ret = options_parse(verb->options, !verb->passes_rest, settings, rt->arena, &rest,
				&err);

	if (ret < 0)
		return fail(&err, 0);
	if (ret > 0) {
		print_verb_help(verb);
		return 0;
	}
	if (rest.argc < verb->min_args || (verb->max_args >= 0 && rest.argc > verb->max_args)) {
		err_set(&err, EINVAL, "usage: moat %s [OPTIONS]%s%s (found %d arguments)",
			verb->name, *verb->usage ? " " : "", verb->usage, rest.argc);
		return fail(&err, 0);
	}
	ret = verb->run(rt, settings, &rest, &err);
	if (ret == 0 && fflush(stdout) == EOF)
		ret = err_sys(&err, "write the output");
	return ret < 0 ? fail(&err, verb->failure_status) : ret;
}

static const struct verb *find_verb(const char *name, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (str_eq(name, verbs[i]->name))
			return verbs[i];
	err_set(err, EINVAL, "unknown verb `%s` (moat --help lists them)", name);
	return NULL;
}

// A caller may have closed its standard streams: what moat opens first must not take their numbers.
static void fill_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); // NOLINT(android-cloexec-open): to be inherited
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	scope_arena struct arena arena = { 0 };
	struct runtime rt = { .argv = argv, .arena = &arena };
	struct global global = { 0 };
	struct option_rest rest = { .argc = argc, .argv = argv };
	struct err err = { 0 };

	fill_standard_streams();
	// Who ignores it has no children to wait for: the kernel reaps them at once.
	sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	int help = options_parse(global_options, false, &global, &arena, &rest, &err);
	if (help < 0 || open_log(&global, &err) < 0)
		return fail(&err, 0);
	if (help) {
		print_help();
		return 0;
	}
	if (global.version) {
		print_version();
		return 0;
	}
	if (rest.argc == 0) {
		print_help();
		return 1;
	}
	if (str_eq(rest.argv[0], "help") && rest.argc == 1) {
		print_help();
		return 0;
	}
	const bool explain = str_eq(rest.argv[0], "help");
	const struct verb *verb = find_verb(rest.argv[explain], &err);
	if (!verb || settle(&global, &rt, &err) < 0)
		return fail(&err, 0);
	if (explain) {
		print_verb_help(verb);
		return 0;
	}
	return run_verb(&rt, verb, rest);
}
