// moat.conf: what may stand in it, and whose file is believed.
#include "base/arena.h"
#include "base/scope.h"
#include "runtime/conf.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct arena arena;
static struct conf conf;
static struct err err;

static const char *parse(const char *json)
{
	err = (struct err){ 0 };
	return conf_parse(json, strlen(json), &arena, &conf, &err) < 0 ? err.msg : "good";
}

static void test_fields(void)
{
	is_str(parse("{}"), "good");
	is_int(conf.mode, CONF_CONTAINER);
	ok(!conf.vm.kernel.path && !conf.vm.vcpus.set && !conf.vm.memory.set, "nothing is set");
	is_str(parse("{\"mode\": \"container\"}"), "good");
	is_int(conf.mode, CONF_CONTAINER);
	is_str(parse("{\"mode\": \"vm\", \"vm\": {\"kernel\": {\"path\": \"/k\", \"initrd\": \"/i\","
		     "\"parameters\": [\"a=b\", \"c\"]}, \"vcpus\": 2, \"memory\": 536870912}}"),
	       "good");
	is_int(conf.mode, CONF_VM);
	is_str(conf.vm.kernel.path, "/k");
	is_str(conf.vm.kernel.initrd, "/i");
	is_int((long long)conf.vm.kernel.parameters.n, 2);
	is_str(conf.vm.kernel.parameters.v[1], "c");
	is_int(conf.vm.vcpus.v, 2);
	is_int((long long)conf.vm.memory.v, 536870912);
	// Parameters alone, for moat's own kernel.
	is_str(parse("{\"vm\": {\"kernel\": {\"parameters\": [\"a\"]}}}"), "good");
	ok(!conf.vm.kernel.path, "no path is moat's own kernel");
}

static void test_errors(void)
{
	is_str(parse("{\"vm\": true}"), "vm: expected an object, found a boolean");
	is_str(parse("{\"mode\": \"VM\"}"), "mode: \"VM\" is not one of container, vm");
	is_str(parse("{\"mod\": \"vm\"}"), "mod: is not known");
	is_str(parse("{\"vm\": {\"kernel\": {\"image\": \"/i\"}}}"),
	       "vm.kernel.image: is not known");
	is_str(parse("{\"vm\": {\"memory\": \"512m\"}}"),
	       "vm.memory: expected an integer, found a string");
	is_str(parse("{\"vm\": {\"memory\": 512}}"),
	       "vm.memory: expected a number from 134217728 to 1099511627776, found 512");
	is_str(parse("{\"vm\": {\"vcpus\": 0}}"),
	       "vm.vcpus: expected a number from 1 to 64, found 0");
	ok(strstr(parse("{\"vm\": {\"kernel\": {\"path\": \"vmlinux\"}}}"), "vm.kernel.path: "),
	   "a relative path");
	ok(strstr(parse("mode = vm"), "line 1"), "no JSON: the line is told");
	ok(strstr(parse("{\n\"mode\": \"vm\"\n} x"), "line 3"), "text behind it");
	ok(strstr(parse(""), "line"), "an empty file");
}

// ---- the file ----

static char dir[] = "/tmp/moat-test-conf.XXXXXX";
static const char *path;

// What conf_load() says of a file `path` of this text and mode, without the file's name.
static const char *load(const char *text, mode_t mode)
{
	const struct conf *loaded;
	scope_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	err = (struct err){ 0 };
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0)
		return "the test's own file can't be made";
	if (conf_load(false, &arena, &loaded, &err) == 0) {
		conf = *loaded;
		return "good";
	}
	return strncmp(err.msg, path, strlen(path)) == 0 ? err.msg + strlen(path) : err.msg;
}

static void test_file(void)
{
	const struct conf *loaded;

	setenv("MOAT_CONF", path, 1);
	is_int(conf_load(false, &arena, &loaded, &err), -ENOENT);
	ok(strstr(err.msg, path), "a file that was named must be there");
	is_str(load("{\"mode\": \"vm\"}", 0644), "good");
	is_int(conf.mode, CONF_VM);
	is_str(conf.path, path);
	is_str(load("{\"vm\": 1}", 0600), ": vm: expected an object, found a number");
	is_str(load("{}", 0664), ": others than its owner may write to it (mode 0664)");
	is_str(load("{}", 0602), ": others than its owner may write to it (mode 0602)");
	is_int(err.code, EPERM);
	if (chown(path, 12345, 0) == 0)
		is_str(load("{}", 0644), ": belongs to user 12345, not to root");
	else
		skip("a file of another user's", "needs root");
	setenv("MOAT_CONF", dir, 1);
	is_int(conf_load(false, &arena, &loaded, &err), -EINVAL);
	ok(strstr(err.msg, "not a regular file"), "a directory");
}

int main(void)
{
	test_fields();
	test_errors();
	path = mkdtemp(dir) ? arena_printf(&arena, "%s/moat.conf", dir) : NULL;
	if (path)
		test_file();
	else
		skip("the file", "no directory in /tmp");
	unlink(path ? path : "");
	rmdir(dir);
	arena_free(&arena);
	return done();
}
