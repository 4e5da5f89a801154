/*
 * fstest.h: the words in which tests of a file system are written.
 *
 * A test is a function that runs in a process of its own, in an empty directory of its own, as root with the
 * capabilities on files and umask 0. The first check that fails says where, and ends it. Children that a test
 * forks end by child_end() or a failed check, and are waited for by child_wait().
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct fs_test {
	const char *name;
	void (*run)(void);
};

struct fs_group {
	const char *name;
	const struct fs_test *tests; /* up to one without a name */
};

extern const struct fs_group fs_names, fs_renames, fs_owners, fs_users, fs_times, fs_dirs, fs_data,
	fs_space, fs_full, fs_maps, fs_xattrs, fs_locks, fs_events;

/* How many entries a large directory has; the command's --entries. */
extern unsigned int fs_entries;

/* ---- checks ---- */

/* The call succeeds: its result. */
#define OK(call) fs_ok((call), #call, __FILE__, __LINE__)
/* It fails so. */
#define FAILS(error, call) fs_fails((error), (call), #call, __FILE__, __LINE__)
/* Two numbers are the same. */
#define IS(is, shall) fs_is((long long)(is), (long long)(shall), #is, __FILE__, __LINE__)
#define TRUE(what)    fs_is(!!(what), 1, #what, __FILE__, __LINE__)
/* So are the bytes. */
#define SAME(is, shall, len) \
	fs_is(memcmp((is), (shall), (len)), 0, #is " as " #shall, __FILE__, __LINE__)

long fs_ok(long result, const char *what, const char *file, int line);
void fs_fails(int error, long result, const char *what, const char *file, int line);
void fs_is(long long is, long long shall, const char *what, const char *file, int line);
/* The test can't hold here. */
_Noreturn void fs_skip(const char *reason);

/* ---- files ---- */

/* Open or made, with mode 0644. */
int open_file(const char *name, int flags);
/* A file with that content, and its mode. */
void put(const char *name, const char *content, mode_t mode);
/* The file has this content and nothing else. */
#define HAS(name, content) fs_has((name), (content), __FILE__, __LINE__)
void fs_has(const char *name, const char *content, const char *file, int line);
struct stat look(const char *name); /* lstat(2) */
mode_t mode_of(const char *name);   /* the permissions */
off_t size_of(const char *name);
/* Fills with a pattern that depends on `seed`. */
void fill(void *bytes, size_t len, unsigned int seed);

/* ---- processes ---- */

#define USER 1000
/* fork(); the child is ended by child_end(). */
pid_t child(void);
_Noreturn void child_end(void);
/* The child has ended well, else so does the test. */
void child_wait(pid_t pid);
/* In a child: become an ordinary user, with these groups besides `gid`. */
void become(uid_t uid, gid_t gid, const gid_t *others, size_t count);
/* Runs `function` as USER in a child, without further groups. */
void as_user(void (*function)(void));
