// One spec, two parts.
#include "base/str.h"
#include "oci-spec/spec.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"
#include "vm-mode/split.h"

static struct arena arena;
static struct err err;
static const struct oci_spec *host, *guest;

static void print_mounts(const struct oci_spec *spec, struct text *out)
{
	for (size_t i = 0; i < spec->mounts.n; i++) {
		const struct oci_mount *mount = &spec->mounts.v[i];

		text_printf(out, "%s %s %s", mount->type ? mount->type : "-",
			    mount->source ? mount->source : "-", mount->destination);
		for (size_t k = 0; k < mount->options.n; k++)
			text_printf(out, "%s%s", k ? "," : " ", mount->options.v[k]);
		text_str(out, "; ");
	}
}

static int split(const char *mounts, const char *more)
{
	const char *json = json_of(arena_printf(&arena, "{'ociVersion':'1.0.2','mounts':[%s]%s}",
						mounts, more),
				   &arena);
	const struct oci_spec *spec;

	err = (struct err){ 0 };
	if (spec_parse(json, strlen(json), &arena, &spec, &err) < 0)
		return -err.code;
	return vm_split(spec, &arena, &host, &guest, &err);
}

// Both sides' mounts, in words.
static const char *mounts_of(const char *mounts, const char *more)
{
	struct text out = { 0 };

	if (split(mounts, more) < 0)
		return err.msg;
	text_str(&out, "host: ");
	print_mounts(host, &out);
	text_str(&out, "guest: ");
	print_mounts(guest, &out);
	const char *words = arena_strdup(&arena, out.str);
	text_free(&out);
	return words;
}

#define M(dest, type, source, options) \
	"{'destination':'" dest "','type':'" type "','source':'" source "','options':[" options "]}"
#define ROOT(readonly) ",'root':{'path':'r','readonly':" #readonly "}"
#define PROC	       M("/proc", "proc", "proc", "")
#define DEV	       M("/dev", "tmpfs", "tmpfs", "'nosuid'")
#define PTS	       M("/dev/pts", "devpts", "devpts", "")

static void test_mounts(void)
{
	// Each to its own.
	is_str(mounts_of(PROC "," M("/etc/hosts", "bind", "/h",
				    "'rbind','rprivate'") "," M("/mnt", "ext4", "/dev/sda", "'ro'"),
			 ROOT(false)),
	       "host: bind /h /etc/hosts rbind,rprivate; ext4 /dev/sda /mnt ro; "
	       "guest: proc proc /proc; ");
	// A bind mount below a file system of the guest's, and a stand-in for that on the host.
	is_str(mounts_of(DEV "," PTS "," M("/dev/x", "none", "/x",
					   "'bind','ro'") "," M("/dev/pts/y", "bind", "/y", ""),
			 ROOT(false)),
	       "host: tmpfs tmpfs /dev; none /x /dev/x bind,ro; bind /y /dev/pts/y; "
	       "guest: tmpfs tmpfs /dev nosuid; devpts devpts /dev/pts; "
	       "bind /dev/x /dev/x rbind; bind /dev/pts/y /dev/pts/y rbind; ");
	// One on the very place of it, and one that only looks as if it were below.
	is_str(mounts_of(M("/dev/shm", "tmpfs", "shm", "") "," M("dev//shm/", "bind", "/s",
								 "") "," M("/dev/shmem", "bind",
									   "/t", ""),
			 ROOT(false)),
	       "host: tmpfs tmpfs /dev/shm; bind /s dev//shm/; bind /t /dev/shmem; "
	       "guest: tmpfs shm /dev/shm; bind /dev/shm /dev/shm rbind; ");
	// What comes later covers nothing before it.
	is_str(mounts_of(M("/run/x", "bind", "/x", "") "," M("/run", "tmpfs", "tmpfs", ""),
			 ROOT(false)),
	       "host: bind /x /run/x; guest: tmpfs tmpfs /run; ");
}

static void test_flags(void)
{
	is_str(mounts_of(M("/a", "bind", "/a", "'bind','nosuid','ro','rslave'") "," M(
				 "/b", "bind", "/b", "'bind','ro'"),
			 ROOT(false)),
	       "host: bind /a /a bind,nosuid,ro,rslave; bind /b /b bind,ro; "
	       "guest: bind /a /a rbind,nosuid; ");
	is_str(mounts_of(M("/a", "bind", "/a",
			   "'bind'") "," DEV
				     "," M("/a", "none", "none", "'remount','bind','noexec'") "," M(
					     "/dev", "none", "none", "'remount','noexec'"),
			 ROOT(false)),
	       "host: bind /a /a bind; none none /a remount,bind,noexec; "
	       "guest: tmpfs tmpfs /dev nosuid; bind /a /a rbind,noexec; "
	       "none none /dev remount,noexec; ");
}

static void test_readonly(void)
{
	is_str(mounts_of(PROC "," DEV "," PTS "," M("/run", "tmpfs", "tmpfs", "'tmpcopyup'"),
			 ROOT(true)),
	       "host: tmpfs tmpfs /proc; tmpfs tmpfs /dev; tmpfs tmpfs /run tmpcopyup; "
	       "guest: proc proc /proc; tmpfs tmpfs /dev nosuid; devpts devpts /dev/pts; "
	       "tmpfs tmpfs /run tmpcopyup; ");
	ok(host->root->readonly && guest->root->readonly, "both know that it is read-only");
	is_str(mounts_of(M("/a", "bind", "/x", "'rbind','rw'") "," M("/a", "none", "none",
								     "'remount','bind','ro'"),
			 ROOT(true)),
	       "host: bind /x /a rbind,rw; none none /a remount,bind,ro; guest: bind /a /a rbind; ");
	is_str(mounts_of(M("/a", "bind", "/x", "'bind','ro','nosuid'") "," M("/a/b", "bind", "/y",
									     "'bind','noexec'"),
			 ROOT(false)),
	       "host: bind /x /a bind,ro,nosuid; bind /y /a/b bind,noexec; "
	       "guest: bind /a /a rbind,nosuid; "
	       "bind /a/b /a/b rbind,rw,suid,dev,exec,symfollow,noexec; ");
}

static void test_kernel_trees(void)
{
	is_str(mounts_of(M("/proc", "bind", "/proc",
			   "'rbind'") "," M("/sys", "none", "/sys/",
					    "'rbind','ro'") "," M("/sys/fs/cgroup", "bind",
								  "/sys/fs/cgroup", "'bind'"),
			 ROOT(false)),
	       "host: guest: proc proc /proc; sysfs sysfs /sys ro; "
	       "cgroup cgroup /sys/fs/cgroup; ");
	is_str(mounts_of(DEV "," M("/d", "bind", "/sys/kernel/debug", "'bind'"), ROOT(false)),
	       "mounts[1]: /sys/kernel/debug of the host can't be shown in a VM, which has its own");
	is_int(err.code, ENOTSUP);
}

static void test_namespaces(void)
{
	static const char *const names[] = { "pid", "network", "mount",	 "ipc",
					     "uts", "user",    "cgroup", "time" };
	struct text out = { 0 };

	is_int(split("", ROOT(false) ",'hostname':'h','linux':{'namespaces':[{'type':'mount'},"
				     "{'type':'network','path':'/n'},{'type':'user'},"
				     "{'type':'uts','path':'/u'}],"
				     "'uidMappings':[{'containerID':0,'hostID':1,'size':1}]}"),
	       0);
	for (size_t i = 0; i < guest->linux->namespaces.n; i++)
		text_printf(&out, "%s %s,", names[guest->linux->namespaces.v[i].type],
			    guest->linux->namespaces.v[i].path ? "path" : "new");
	is_str(out.str, "pid new,mount new,cgroup new,uts new,");
	is_int(host->linux->namespaces.n, 4);
	ok(host->linux->uid_mappings.n == 1 && guest->linux->uid_mappings.n == 0,
	   "ids are mapped on the host alone");
	ok(!host->hostname, "the host has no hostname to set");
	is_str(guest->hostname, "h");
	text_free(&out);
}

static void test_rest(void)
{
	is_int(split("",
		     ROOT(false) ",'process':{'cwd':'/','args':['a'],'apparmorProfile':'p',"
				 "'selinuxLabel':'s','noNewPrivileges':true},"
				 "'hooks':{'prestart':[{'path':'/p'}],"
				 "'startContainer':[{'path':'/s'}]},"
				 "'annotations':{'a':'b'},'vm':{'kernel':{'path':'/k'}},"
				 "'linux':{'maskedPaths':['/m'],'readonlyPaths':['/r'],"
				 "'sysctl':{'net.x':'1'},'seccomp':{'defaultAction':"
				 "'SCMP_ACT_ALLOW'},'mountLabel':'l','cgroupsPath':'/c',"
				 "'devices':[{'path':'/dev/d','type':'c','major':1,'minor':2}]}"),
	       0);
	ok(guest->process->no_new_privileges && !guest->process->apparmor_profile &&
		   !guest->process->selinux_label,
	   "the guest has no LSM of the host's");
	ok(host->process->apparmor_profile, "the host keeps the process as it is");
	ok(host->hooks->prestart.n && !host->hooks->start_container.n, "the host's hooks");
	ok(!guest->hooks->prestart.n && guest->hooks->start_container.n, "the guest's hooks");
	ok(host->annotations.n && guest->annotations.n, "annotations are for both");
	ok(host->vm && !guest->vm, "the machine is the host's");
	const struct oci_linux *h = host->linux, *g = guest->linux;
	ok(!h->masked_paths.n && !h->readonly_paths.n && !h->sysctl.n && !h->seccomp &&
		   !h->devices.n,
	   "the host confines nothing");
	ok(g->masked_paths.n && g->readonly_paths.n && g->sysctl.n && g->devices.n && !g->seccomp &&
		   !g->mount_label,
	   "the guest does, but for the filter");
	is_str(h->cgroups_path, "/c");
	is_str(g->cgroups_path, VM_SPLIT_CGROUP);
	is_int(split("", ROOT(false) ",'linux':{'seccomp':{'defaultAction':'SCMP_ACT_ALLOW',"
				     "'listenerPath':'/l','syscalls':[{'names':['read'],"
				     "'action':'SCMP_ACT_NOTIFY'}]}}"),
	       -ENOTSUP);
	is_int(split("", ROOT(false)), 0);
	ok(!guest->process && !guest->hooks && !host->hooks, "what is absent stays absent");
}

static void test_resources(void)
{
	is_int(split("",
		     ROOT(false) ",'linux':{'resources':{'devices':[{'allow':false}],"
				 "'memory':{'limit':1,'swap':2,'reservation':3,'swappiness':4},"
				 "'cpu':{'shares':5,'quota':6,'period':7,'cpus':'0','mems':'0',"
				 "'realtimeRuntime':8},'pids':{'limit':9},"
				 "'blockIO':{'weight':10},'hugepageLimits':[{'pageSize':'2MB',"
				 "'limit':1}],'rdma':{'x':{'hcaHandles':1}},'network':{'classID':1},"
				 "'unified':{'memory.high':'1','memory.swap.max':'1','io.max':'1',"
				 "'cpuset.cpus':'0','pids.max':'1'}}}"),
	       0);
	const struct oci_resources *r = guest->linux->resources;
	ok(r->devices.n && r->pids->limit.v == 9, "devices and pids");
	ok(r->memory->limit.v == 1 && r->memory->reservation.v == 3 && !r->memory->swap.set &&
		   !r->memory->swappiness.set,
	   "memory, without swap");
	ok(r->cpu->shares.v == 5 && r->cpu->quota.v == 6 && r->cpu->period.v == 7 &&
		   !r->cpu->cpus && !r->cpu->mems && !r->cpu->realtime_runtime.set,
	   "time, but no numbers of CPUs");
	ok(!r->block_io && !r->rdma.n && !r->network, "nothing of the host's hardware");
	ok(r->hugepage_limits.n == 1 && r->hugepage_limits.v[0].limit == 1,
	   "huge pages are the guest's");
	is_int(r->unified.n, 2);
	is_str(r->unified.v[1].key, "pids.max");
	ok(host->linux->resources->block_io && host->linux->resources->cpu->cpus,
	   "the host has all of them");
	ok(!vm_split_resources(NULL, &arena), "none stays none");
}

static void is_file(const char *file, bool in_guest, bool on_host)
{
	const struct vm_split_owner owner = vm_split_file(file);

	ok(owner.guest == in_guest && owner.host == on_host, file);
}

static void test_files(void)
{
	is_file("memory.max", true, false);
	is_file("memory.high", true, false);
	is_file("memory.low", true, true);
	is_file("memory.min", true, true);
	is_file("memory.swap.max", false, true);
	is_file("pids.max", true, false);
	is_file("cpu.weight", true, true);
	is_file("cpuset.cpus", false, true);
	is_file("cgroup.max.depth", true, true);
	is_file("io.max", false, true);
	is_file("hugetlb.2MB.max", true, false);
	is_file("", false, true);
}

int main(void)
{
	test_mounts();
	test_flags();
	test_readonly();
	test_kernel_trees();
	test_namespaces();
	test_rest();
	test_resources();
	test_files();
	arena_free(&arena);
	return done();
}
