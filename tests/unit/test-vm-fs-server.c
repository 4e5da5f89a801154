// The file server as a process: a driver's queues over the transport, the guest's memory shared, kicks
// and interrupts by eventfds, files mapped into the window.
#include "tests/unit/fs-tree.h"
#include "tests/unit/tap.h"
#include "vm-mode/fs/device.h"
#include "vm-mode/virtio/mmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define RAM	   ((uint64_t)4 << 20)
#define SIZE	   64
#define READY_BITS (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define RING(q)	   (UINT64_C(0x10000) * ((q) + 1)) // the rings of a queue
#define DATA	   UINT64_C(0x100000)		   // requests
#define ANSWER	   UINT64_C(0x200000)
#define WINDOW	   UINT64_C(0x40000000)

static struct guest_memory memory;
static struct fs_window window;
static struct loop *loop;
static struct device *device;
static struct mmio *mmio;
static struct err err;
static int irq_fd;

static void *at(uint64_t gpa)
{
	return guest_ptr(&memory, gpa, 1);
}

static struct vring_avail *avail_of(unsigned int queue)
{
	return at(RING(queue) + 0x1000);
}

static struct vring_used *used_of(unsigned int queue)
{
	return at(RING(queue) + 0x2000);
}

static uint32_t get(uint64_t offset)
{
	uint32_t value = 0;

	mmio_read(mmio, offset, &value, sizeof(value));
	return value;
}

static void set(uint64_t offset, uint32_t value)
{
	mmio_write(mmio, offset, &value, sizeof(value));
}

// A driver that begins.
static void drive(void)
{
	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_STATUS, READY_BITS);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1 << (VIRTIO_F_VERSION_1 - 32));
	set(VIRTIO_MMIO_STATUS, READY_BITS | VIRTIO_CONFIG_S_FEATURES_OK);
	for (uint32_t queue = 0; queue < FS_QUEUES; queue++) {
		memset(at(RING(queue)), 0, 0x3000);
		set(VIRTIO_MMIO_QUEUE_SEL, queue);
		set(VIRTIO_MMIO_QUEUE_NUM, SIZE);
		set(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)RING(queue));
		set(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)RING(queue) + 0x1000);
		set(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)RING(queue) + 0x2000);
		set(VIRTIO_MMIO_QUEUE_READY, 1);
	}
	set(VIRTIO_MMIO_STATUS, get(VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
}

// Where the data of the next request are: behind those at DATA, or behind the answer; len 0: nowhere else.
static struct vring_desc elsewhere;

// Sends what is at DATA and waits, as the VMM does, for the interrupt; true: there was one.
static bool offer(unsigned int queue, uint32_t len, uint32_t answer_len)
{
	struct vring_desc *desc = at(RING(queue));
	struct vring_avail *avail = avail_of(queue);
	struct vring_used *used = used_of(queue);
	const uint16_t before = used->idx;
	bool interrupted = false;
	uint64_t count;

	if (read(irq_fd, &count, sizeof(count)) < 0)
		interrupted = false; // nothing of before
	desc[0] = (struct vring_desc){ .addr = DATA, .len = len };
	if (answer_len > 0) {
		desc[0].flags = VRING_DESC_F_NEXT;
		desc[0].next = 1;
	}
	desc[1] = (struct vring_desc){ .addr = ANSWER,
				       .len = answer_len,
				       .flags = VRING_DESC_F_WRITE };
	if (elsewhere.len > 0) {
		const uint16_t before_it = elsewhere.flags & VRING_DESC_F_WRITE ? 1 : 0;

		desc[2] = elsewhere;
		desc[2].flags |= desc[before_it].flags & VRING_DESC_F_NEXT;
		desc[2].next = desc[before_it].next;
		desc[before_it].flags |= VRING_DESC_F_NEXT;
		desc[before_it].next = 2;
		elsewhere.len = 0;
	}
	avail->ring[avail->idx % SIZE] = 0;
	__atomic_store_n(&avail->idx, (uint16_t)(avail->idx + 1), __ATOMIC_RELEASE);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	for (int tries = 0; tries < 1000; tries++) {
		struct pollfd ready = { .fd = irq_fd, .events = POLLIN };

		loop_once(loop, 0, &err);
		if (poll(&ready, 1, 5) > 0 && read(irq_fd, &count, sizeof(count)) > 0)
			interrupted = true;
		if (interrupted && __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) != before)
			return true;
		if (get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return false;
	}
	return false;
}

#define ANSWER_MAX 8192
static uint32_t answer_bytes = ANSWER_MAX; // for the next answer, at ANSWER

// A FUSE request; the answer's error, its payload is at ANSWER + 16.
static int request(uint32_t opcode, uint64_t nodeid, struct iovec args, struct iovec more)
{
	struct fuse_in_header header = { .len = sizeof(header),
					 .opcode = opcode,
					 .nodeid = nodeid,
					 .uid = geteuid(),
					 .gid = getegid() };
	const struct fuse_out_header *answer = at(ANSWER);
	char *to = at(DATA + sizeof(header));

	if (args.iov_len > 0)
		memcpy(to, args.iov_base, args.iov_len);
	if (more.iov_len > 0)
		memcpy(to + args.iov_len, more.iov_base, more.iov_len);
	header.len += (uint32_t)(args.iov_len + more.iov_len);
	const uint32_t len = header.len;
	const uint32_t answer_len = answer_bytes;

	answer_bytes = ANSWER_MAX;
	header.len += elsewhere.flags & VRING_DESC_F_WRITE ? 0 : elsewhere.len;
	memcpy(at(DATA), &header, sizeof(header));
	if (!offer(1, len, answer_len))
		return -ETIME;
	return answer->error;
}

static const void *payload(void)
{
	return at(ANSWER + sizeof(struct fuse_out_header));
}

static int init(void)
{
	const struct fuse_init_in in = {
		.major = 7, .minor = 39, .flags = UINT32_MAX, .flags2 = UINT32_MAX
	};

	return request(FUSE_INIT, 0, PART(in), NO_PART);
}

static uint64_t lookup(const char *name)
{
	int ret = request(FUSE_LOOKUP, ROOT, TEXT(name), NO_PART);

	return ret < 0 ? 0 : ((const struct fuse_entry_out *)payload())->nodeid;
}

// The first byte of a file, as the host sees it.
static int first_of(const char *name)
{
	scope_fd int fd = openat(base_fd, name, O_RDONLY | O_CLOEXEC);
	char first = 0;

	return read(fd, &first, 1) == 1 ? first : -1;
}

static char lost_why[ERR_MSG_MAX];

static void on_lost(void *owner, const struct err *why)
{
	(void)owner;
	snprintf(lost_why, sizeof(lost_why), "%s", why->msg);
}

static void begin(void)
{
	const struct fs_device_config config = {
		.tag = "moat",
		.options = { .root_fd = base_fd,
			     .proc_fd = proc_fd,
			     .cache_seconds = 3600,
			     .dax_min_bytes = 1 },
		.window = &window,
		.lost = on_lost,
	};

	*lost_why = '\0';
	guest_memory_create(&memory, RAM, &err);
	fs_window_create(&window, 4 * FS_WINDOW_SLOT, &err);
	memory.window = (struct guest_range){ .gpa = WINDOW, .size = window.bytes };
	loop_create(&loop, &err);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fflush(stdout);
	is_int(fs_device_create(&config, &device, &err), 0);
	const struct mmio_setup setup = {
		.memory = &memory, .loop = loop, .name = "fs", .irq_fd = irq_fd
	};
	is_int(mmio_create(&mmio, device, &setup, &err), 0);
}

static void end(void)
{
	mmio_free(mmio);
	loop_free(loop);
	close(irq_fd);
	fs_window_free(&window);
	guest_memory_free(&memory);
	clean();
}

static void test_config(void)
{
	struct virtio_fs_config space;
	struct device *none;
	const struct fs_device_config unnamed = { .tag = "" };

	begin();
	is_int(get(VIRTIO_MMIO_DEVICE_ID), 26);
	mmio_read(mmio, VIRTIO_MMIO_CONFIG, &space, sizeof(space));
	ok(memcmp(space.tag, "moat\0", 5) == 0, "the tag");
	is_int(space.num_request_queues, 1);
	uint32_t beyond = 1;
	mmio_read(mmio, VIRTIO_MMIO_CONFIG + sizeof(space), &beyond, sizeof(beyond));
	is_int(beyond, 0);
	is_int(fs_device_create(&unnamed, &none, &err), -EINVAL);
	end();
}

// 0: this kernel has no list of children.
static int server_pid(void)
{
	char path[64];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	scope_file FILE *children = fopen(path, "re");
	if (!children || fscanf(children, "%d", &pid) != 1)
		return 0;
	return pid;
}

// How many of the server's descriptors are the guest's memory file.
static int count_memory_fds(void)
{
	char path[64];
	struct stat memory_file, st;
	int count = 0;

	fstat(memory.fd, &memory_file);
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", server_pid(), fd);
		count += stat(path, &st) == 0 && st.st_dev == memory_file.st_dev &&
			 st.st_ino == memory_file.st_ino;
	}
	return count;
}

static void test_requests(void)
{
	const struct fuse_open_in open = { .flags = O_RDONLY };
	struct fuse_read_in in = { .size = 100 };
	struct fuse_forget_in forget = { .nlookup = 1 };
	const struct fuse_getattr_in getattr = { 0 };

	put("file", "content");
	begin();
	drive();
	is_int(init(), 0);
	const uint64_t node = lookup("file");
	ok(node > 1, "a lookup, with an interrupt");
	ok(get(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING, "its status is shared");
	is_int(request(FUSE_OPEN, node, PART(open), NO_PART), 0);
	in.fh = ((const struct fuse_open_out *)payload())->fh;
	is_int(request(FUSE_READ, node, PART(in), NO_PART), 0);
	ok(memcmp(payload(), "content", 7) == 0, "the content, in the guest's memory");

	// What must not wait comes by the other queue, without an answer.
	struct fuse_in_header header = { .len = sizeof(header) + sizeof(forget),
					 .opcode = FUSE_FORGET,
					 .nodeid = node };
	memcpy(at(DATA), &header, sizeof(header));
	memcpy(at(DATA + sizeof(header)), &forget, sizeof(forget));
	ok(offer(0, header.len, 0), "a forget is taken");
	is_int(used_of(0)->ring[0].len, 0);
	is_int(request(FUSE_GETATTR, node, PART(getattr), NO_PART), -ESTALE);

	// A driver that begins anew finds a server that has forgotten all.
	drive();
	is_int(request(FUSE_GETATTR, ROOT, PART(getattr), NO_PART), -ENOTCONN);
	is_int(init(), 0);
	ok(lookup("file") > 1, "and goes on");
	is_int(count_memory_fds(), 0);
	end();
}

static void test_window(void)
{
	struct fuse_setupmapping_in in = { .len = FS_WINDOW_SLOT, .moffset = FS_WINDOW_SLOT };
	const struct fuse_removemapping_in count = { 1 };
	const struct fuse_removemapping_one one = { FS_WINDOW_SLOT, FS_WINDOW_SLOT };
	char *mapped;

	put("file", "content");
	begin();
	mapped = (char *)window.host + FS_WINDOW_SLOT;
	drive();
	init();
	in.flags = FUSE_SETUPMAPPING_FLAG_READ;
	const uint64_t node = lookup("file");
	is_int(request(FUSE_SETUPMAPPING, node, PART(in), NO_PART), 0);
	is_str(mapped, "content");
	in.flags |= FUSE_SETUPMAPPING_FLAG_WRITE;
	is_int(request(FUSE_SETUPMAPPING, node, PART(in), NO_PART), 0);
	mapped[0] = 'C';
	scope_fd int fd = openat(base_fd, "file", O_RDONLY | O_CLOEXEC);
	char first = 0;
	is_int(pread(fd, &first, 1, 0), 1);
	is_int(first, 'C');
	is_int(request(FUSE_REMOVEMAPPING, node, PART(count), PART(one)), 0);
	unsigned char resident;
	is_int(mincore(mapped, 4096, &resident), 0);

	// What the server could ask for, if it were not ours any more.
	struct fs_mapping wrong = { .len = FS_WINDOW_SLOT, .prot = PROT_READ };
	is_int(fs_window_map(&window, &wrong, fd), 0);
	wrong.window_offset = 4 * FS_WINDOW_SLOT;
	is_int(fs_window_map(&window, &wrong, fd), -EINVAL);
	wrong.window_offset = 3 * FS_WINDOW_SLOT;
	wrong.len = 2 * FS_WINDOW_SLOT;
	is_int(fs_window_map(&window, &wrong, fd), -EINVAL);
	wrong.len = FS_WINDOW_SLOT;
	wrong.file_offset = 1;
	is_int(fs_window_map(&window, &wrong, fd), -EINVAL);
	wrong.file_offset = 0;
	wrong.prot = PROT_READ | PROT_EXEC;
	is_int(fs_window_map(&window, &wrong, fd), -EINVAL);
	wrong.prot = PROT_READ;
	is_int(fs_window_map(&window, &wrong, base_fd), -EACCES);
	is_int(fs_window_map(&window, &wrong, -1), -EBADF);
	end();
}

// A file that is mapped as the buffer of another one's read and write.
static void test_window_buffers(void)
{
	const struct fuse_setupmapping_in map = { .len = FS_WINDOW_SLOT,
						  .flags = FUSE_SETUPMAPPING_FLAG_READ |
							   FUSE_SETUPMAPPING_FLAG_WRITE };
	const struct fuse_open_in open = { .flags = O_RDWR };
	struct fuse_read_in in = { .size = 4096 };
	struct fuse_write_in out = { .size = 4096 };
	const uint64_t mapped = WINDOW;
	char content[4097] = { 0 };

	memset(content, 'm', 4096);
	put("mapped", content);
	memset(content, 'f', 4096);
	put("file", content);
	begin();
	drive();
	init();
	const uint64_t other = lookup("mapped"), node = lookup("file");
	is_int(request(FUSE_SETUPMAPPING, other, PART(map), NO_PART), 0);
	is_int(request(FUSE_OPEN, node, PART(open), NO_PART), 0);
	in.fh = out.fh = ((const struct fuse_open_out *)payload())->fh;
	elsewhere = (struct vring_desc){ .addr = mapped, .len = 4096 };
	is_int(request(FUSE_WRITE, node, PART(out), NO_PART), 0);
	is_int(((const struct fuse_write_out *)payload())->size, 4096);
	is_int(first_of("file"), 'm');
	put("file", "other");
	answer_bytes = sizeof(struct fuse_out_header);
	elsewhere = (struct vring_desc){ .addr = mapped, .len = 4096, .flags = VRING_DESC_F_WRITE };
	is_int(request(FUSE_READ, node, PART(in), NO_PART), 0);
	is_int(first_of("mapped"), 'o');

	// Nothing is mapped there; and no room for what the server itself would have to write.
	elsewhere = (struct vring_desc){ .addr = mapped + FS_WINDOW_SLOT, .len = 4096 };
	is_int(request(FUSE_WRITE, node, PART(out), NO_PART), -EFAULT);
	answer_bytes = sizeof(struct fuse_out_header);
	elsewhere = (struct vring_desc){ .addr = mapped, .len = 4096, .flags = VRING_DESC_F_WRITE };
	lookup("file");
	is_int(first_of("mapped"), 'o');
	// Half of it beyond the window.
	elsewhere = (struct vring_desc){ .addr = mapped + window.bytes - 4096, .len = 8192 };
	is_int(request(FUSE_WRITE, node, PART(out), NO_PART), -ETIME);
	ok(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, "costs the guest the device");
	end();
}

// A server that was taken over must not hold the VMM up.
static void test_window_flood(void)
{
	const struct fs_mapping mapping = { .len = FS_WINDOW_SLOT };
	struct fs_window own;
	int ends[2], served = 0, ret;

	if (fs_window_create(&own, FS_WINDOW_SLOT, &err) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	do {
		if (write(ends[1], &mapping, sizeof(mapping)) != sizeof(mapping))
			abort();
		ret = fs_window_serve(&own, ends[0]);
		served += ret == 1;
	} while (ret == 1);
	is_int(ret, -EPIPE);
	ok(served > 0, "who takes no answers is given up");
	close(ends[0]);
	close(ends[1]);
	fs_window_free(&own);
}

static void test_broken(void)
{
	begin();
	drive();
	init();
	avail_of(1)->idx = (uint16_t)(avail_of(1)->idx + SIZE + 1);
	ok(!offer(1, 40, 100), "a broken queue gives nothing");
	ok(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, "and costs the guest the device");
	drive();
	is_int(init(), 0);

	// The server ends: so does the device.
	struct fuse_getattr_in getattr = { 0 };
	is_int(request(FUSE_GETATTR, ROOT, PART(getattr), NO_PART), 0);
	const int pid = server_pid();
	if (pid == 0) {
		skip("the end of the server", "no list of children");
	} else {
		kill(pid, SIGKILL);
		for (int tries = 0; tries < 100; tries++)
			loop_once(loop, 10, &err);
		ok(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, "no server, no device");
		is_str(lost_why, "the file server was killed by signal 9");
		drive();
		ok(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, "nor later");
	}
	end();
}

// Not a test: how long a request takes, the ways of kick and interrupt included.
static void measure(void)
{
	const struct fuse_getattr_in getattr = { 0 };
	struct timespec from, to;
	const int rounds = 500;

	begin();
	drive();
	init();
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < rounds; i++)
		request(FUSE_GETATTR, ROOT, PART(getattr), NO_PART);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("# %.1f us a request\n", ((double)(to.tv_sec - from.tv_sec) * 1e6 +
					 (double)(to.tv_nsec - from.tv_nsec) / 1e3) /
						rounds);
	end();
}

int main(void)
{
	alarm(60);
	if (!tree_open())
		return 1;
	test_config();
	test_requests();
	test_window();
	test_window_buffers();
	test_window_flood();
	test_broken();
	measure();
	tree_close();
	return done();
}
