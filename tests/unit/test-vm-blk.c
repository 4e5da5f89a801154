// The disk, on a file in memory: requests in pieces of all kinds, and what a hostile driver may say.
#include "vm-mode/devices/blk.h"
#include "vm-mode/virtio/mmio.h"

#include "tests/unit/tap.h"
#include "tests/unit/vring.h"

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE	     16
#define SECTOR	     512
#define SECTORS	     128
#define OK	     VIRTIO_BLK_S_OK
#define IOERR	     VIRTIO_BLK_S_IOERR
#define UNSUPP	     VIRTIO_BLK_S_UNSUPP
#define DATA(page)   (ring.ram + VRING_DATA + (page)*4096)
#define UNTOUCHED    0x55
#define STATUS_PAGE  40
#define FLUSH_AGREED (1 << VIRTIO_BLK_F_FLUSH)

static struct vring_test ring;
static struct device *device;
static struct loop *loop;
static struct mmio *mmio;
static struct err err;
static int file;
static off_t file_bytes = SECTORS * SECTOR + 100; // some of which are no sector

// A disk of SECTORS sectors, each byte the number of its sector, and whatever comes then.
static void begin(bool read_only)
{
	char bytes[SECTOR], path[64];

	file = memfd_create("disk", MFD_CLOEXEC);
	for (int i = 0; i < SECTORS; i++) {
		memset(bytes, i, sizeof(bytes));
		if (write(file, bytes, SECTOR) < 0)
			printf("# write\n");
	}
	if (ftruncate(file, file_bytes) < 0)
		printf("# ftruncate\n");
	if (read_only) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
		int again = open(path, O_RDONLY | O_CLOEXEC);
		close(file);
		file = again;
	}
	vring_test_init(&ring, SIZE, 0);
	is_int(blk_create(&device, file, "serial", &err), 0);
	is_int(loop_create(&loop, &err), 0);
	const struct mmio_setup setup = {
		.memory = &ring.memory, .loop = loop, .name = "test", .irq_fd = -1
	};
	is_int(mmio_create(&mmio, device, &setup, &err), 0);
	is_int(queue_init(&device->queues[0], &ring.memory, &ring.setup, &err), 0);
	device->driver_features = FLUSH_AGREED;
	device->started = true;
}

static void end(void)
{
	mmio_free(mmio);
	loop_free(loop);
	vring_test_free(&ring);
	close(file);
}

// ---- the driver ----

static uint16_t places; // descriptors of the chain that is being made

static void piece(uint64_t offset, uint32_t len, bool in)
{
	if (places > 0)
		ring.desc[places - 1].flags |= VRING_DESC_F_NEXT;
	ring.desc[places] = (struct vring_desc){ .addr = VRING_DATA + offset,
						 .len = len,
						 .flags = in ? VRING_DESC_F_WRITE : 0,
						 .next = places + 1 };
	places++;
}

static int kick(void)
{
	places = 0;
	return device->ops->kick(device, 0, &err);
}

static void put_header(uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr header = { .type = type, .sector = sector };

	memcpy(DATA(0), &header, sizeof(header));
	*DATA(STATUS_PAGE) = UNTOUCHED;
}

// A request in the usual form, with its data in page 1 of the buffers. Returns its status.
static int request(uint32_t type, uint64_t sector, uint32_t len, bool in)
{
	put_header(type, sector);
	piece(0, sizeof(struct virtio_blk_outhdr), false);
	if (len > 0)
		piece(4096, len, in);
	piece(STATUS_PAGE * 4096, 1, true);
	vring_test_offer(&ring, 0);
	if (kick() < 0)
		return -1;
	return *DATA(STATUS_PAGE);
}

static uint32_t last_len(void)
{
	return ring.used->ring[(uint16_t)(ring.used->idx - 1) % SIZE].len;
}

// The sector of the file is all `byte`.
static bool is_sector(uint64_t sector, char byte)
{
	char bytes[SECTOR];

	if (pread(file, bytes, SECTOR, (off_t)sector * SECTOR) != SECTOR)
		return false;
	for (int i = 0; i < SECTOR; i++)
		if (bytes[i] != byte)
			return false;
	return true;
}

static int range(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = { sector, count, flags };

	memcpy(DATA(1), &range, sizeof(range));
	return request(type, 0, sizeof(range), false);
}

// ---- what it can ----

static void test_config(void)
{
	struct virtio_blk_config config;

	begin(false);
	mmio_read(mmio, 0x100, &config, sizeof(config));
	is_int((long long)config.capacity, SECTORS);
	is_int(config.blk_size, SECTOR);
	is_int(config.seg_max, 126);
	ok(!(device->ops->features >> VIRTIO_BLK_F_RO & 1), "it is not read-only");
	end();

	int pipes[2];
	is_int(pipe2(pipes, O_CLOEXEC), 0);
	is_int(blk_create(&device, pipes[0], "x", &err), -ESPIPE);
	close(pipes[0]);
	close(pipes[1]);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	is_int(blk_create(&device, null, "x", &err), -EINVAL);
	close(null);
}

static void test_requests(void)
{
	begin(false);
	is_int(request(VIRTIO_BLK_T_IN, 3, 2 * SECTOR, true), OK);
	is_int(last_len(), 2 * SECTOR + 1);
	ok(DATA(1)[0] == 3 && DATA(1)[SECTOR - 1] == 3 && DATA(1)[SECTOR] == 4 &&
		   DATA(1)[2 * SECTOR - 1] == 4 && DATA(1)[2 * SECTOR] == 0,
	   "two sectors are read");
	is_int(request(VIRTIO_BLK_T_IN, SECTORS - 1, SECTOR, true), OK);

	memset(DATA(1), 'w', SECTOR);
	is_int(request(VIRTIO_BLK_T_OUT, 9, SECTOR, false), OK);
	is_int(last_len(), 1);
	ok(is_sector(8, 8) && is_sector(9, 'w') && is_sector(10, 10), "one is written");
	is_int(request(VIRTIO_BLK_T_FLUSH, 0, 0, false), OK);

	is_int(request(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES, true), OK);
	is_str(DATA(1), "serial");
	is_int(last_len(), VIRTIO_BLK_ID_BYTES + 1);
	is_int(request(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES + 1, true), IOERR);
	is_int(request(VIRTIO_BLK_T_SECURE_ERASE, 0, 0, false), UNSUPP);
	is_int(request(UINT32_MAX, 0, SECTOR, true), UNSUPP);
	is_int(last_len(), 0);

	// Without FLUSH each write lasts at once; that it does can't be seen here.
	device->driver_features = 0;
	is_int(request(VIRTIO_BLK_T_OUT, 9, SECTOR, false), OK);
	end();
}

// A header in three pieces, the last of them with data; a status at the end of the data.
static void test_framing(void)
{
	begin(false);
	put_header(VIRTIO_BLK_T_OUT, 5);
	memset(DATA(0) + 16, 'a', 100);
	memset(DATA(1), 'b', SECTOR - 100);
	piece(0, 1, false);
	piece(1, 7, false);
	piece(8, 8 + 100, false);
	piece(4096, SECTOR - 100, false);
	piece(STATUS_PAGE * 4096, 1, true);
	vring_test_offer(&ring, 0);
	is_int(kick(), 0);
	is_int(*DATA(STATUS_PAGE), OK);
	char bytes[SECTOR];
	is_int(pread(file, bytes, SECTOR, 5 * SECTOR), SECTOR);
	ok(bytes[0] == 'a' && bytes[99] == 'a' && bytes[100] == 'b' && bytes[SECTOR - 1] == 'b',
	   "written in the order of the chain");

	memset(DATA(1), 0, SECTOR);
	put_header(VIRTIO_BLK_T_IN, 5);
	piece(0, 16, false);
	piece(4096, 99, true);
	piece(8192, SECTOR - 99 + 1, true);
	vring_test_offer(&ring, 0);
	is_int(kick(), 0);
	ok(DATA(1)[98] == 'a' && DATA(1)[99] == 0 && DATA(2)[0] == 'a' && DATA(2)[1] == 'b',
	   "read into the pieces");
	is_int(DATA(2)[SECTOR - 99], OK);
	is_int(last_len(), SECTOR + 1);
	end();
}

static void test_emptying(void)
{
	begin(false);
	is_int(range(VIRTIO_BLK_T_DISCARD, 8, 8, 0), OK);
	ok(is_sector(7, 7) && is_sector(8, 0) && is_sector(15, 0) && is_sector(16, 16),
	   "discarded");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 33, 2, 1), OK);
	ok(is_sector(32, 32) && is_sector(33, 0) && is_sector(34, 0) && is_sector(35, 35),
	   "zeroed");
	int status = range(VIRTIO_BLK_T_WRITE_ZEROES, 50, 1, 0);
	ok((status == OK && is_sector(50, 0)) || (status == UNSUPP && is_sector(50, 50)),
	   "in place, where the file system can");

	is_int(range(VIRTIO_BLK_T_DISCARD, 64, 1, 1), UNSUPP); // 5.2.6.2
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 64, 1, 2), UNSUPP);
	is_int(range(VIRTIO_BLK_T_DISCARD, SECTORS - 1, 2, 0), IOERR);
	is_int(range(VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0), IOERR);
	is_int(range(VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0), IOERR);
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 64, 0, 0), IOERR);
	is_int(request(VIRTIO_BLK_T_DISCARD, 0, 32, false), IOERR); // two ranges
	is_int(request(VIRTIO_BLK_T_DISCARD, 0, 15, false), IOERR);
	is_int(request(VIRTIO_BLK_T_DISCARD, 0, 16, true), IOERR);
	ok(is_sector(64, 64) && is_sector(SECTORS - 1, SECTORS - 1), "nothing else");
	is_int(lseek(file, 0, SEEK_END), file_bytes);
	end();
}

static void test_read_only(void)
{
	begin(true);
	ok(device->ops->features >> VIRTIO_BLK_F_RO & 1, "it is read-only");
	is_int(request(VIRTIO_BLK_T_IN, 7, SECTOR, true), OK);
	is_int(DATA(1)[0], 7);
	is_int(request(VIRTIO_BLK_T_OUT, 0, SECTOR, false), IOERR);
	is_int(range(VIRTIO_BLK_T_DISCARD, 8, 8, 0), IOERR);
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1), IOERR);
	ok(is_sector(0, 0) && is_sector(8, 8), "nothing is written");
	is_int(request(VIRTIO_BLK_T_FLUSH, 0, 0, false), OK);
	end();
}

// ---- what it must not ----

static void test_bounds(void)
{
	const uint64_t sectors[] = { SECTORS, SECTORS - 1, UINT64_MAX, UINT64_MAX - 1,
				     UINT64_MAX / SECTOR };

	begin(false);
	for (size_t i = 0; i < sizeof(sectors) / sizeof(*sectors); i++) {
		is_int(request(VIRTIO_BLK_T_IN, sectors[i], 2 * SECTOR, true), IOERR);
		is_int(last_len(), 0);
		is_int(request(VIRTIO_BLK_T_OUT, sectors[i], 2 * SECTOR, false), IOERR);
	}
	is_int(request(VIRTIO_BLK_T_OUT, 0, (SECTORS + 1) * SECTOR, false), IOERR);
	is_int(request(VIRTIO_BLK_T_IN, 0, SECTOR - 1, true), IOERR);
	is_int(request(VIRTIO_BLK_T_IN, 0, SECTOR + 1, true), IOERR);
	is_int(request(VIRTIO_BLK_T_IN, 0, 0, true), IOERR);
	is_int(request(VIRTIO_BLK_T_IN, 0, SECTOR, false), IOERR); // the wrong way round
	is_int(request(VIRTIO_BLK_T_OUT, 0, SECTOR, true), IOERR);
	is_int(request(VIRTIO_BLK_T_FLUSH, 0, SECTOR, true), IOERR);
	put_header(VIRTIO_BLK_T_OUT, 0); // data both ways
	piece(0, 16 + SECTOR, false);
	piece(STATUS_PAGE * 4096 - 4, 5, true);
	vring_test_offer(&ring, 0);
	is_int(kick(), 0);
	is_int(*DATA(STATUS_PAGE), IOERR);
	is_int(lseek(file, 0, SEEK_END), file_bytes);
	for (int i = 0; i < SECTORS; i++)
		if (!is_sector((uint64_t)i, (char)i))
			ok(false, "nothing is written");

	// The file has become shorter: what is read there is no success, and nothing is made longer.
	is_int(ftruncate(file, 10 * SECTOR), 0);
	is_int(request(VIRTIO_BLK_T_IN, 9, 2 * SECTOR, true), IOERR);
	is_int(last_len(), 0);
	is_int(request(VIRTIO_BLK_T_IN, 20, SECTOR, true), IOERR);
	end();
}

// More than a request may have, on a disk that has it: in an indirect table, and as a range.
static void test_large(void)
{
	struct vring_desc *table;

	file_bytes = (off_t)1 << 30;
	begin(false);
	file_bytes = SECTORS * SECTOR + 100;
	is_int(range(VIRTIO_BLK_T_DISCARD, 0, 32769, 0), IOERR);
	ok(is_sector(1, 1), "not discarded");
	put_header(VIRTIO_BLK_T_IN, 0);
	table = (struct vring_desc *)DATA(8);
	table[0] = (struct vring_desc){ .addr = VRING_DATA, .len = 16, .flags = 1, .next = 1 };
	for (uint16_t i = 1; i < QUEUE_SIZE_MAX; i++)
		table[i] = (struct vring_desc){ .addr = VRING_DATA + 65536,
						.len = 65536,
						.flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
						.next = i + 1 };
	table[QUEUE_SIZE_MAX - 1] = (struct vring_desc){ .addr = VRING_DATA + STATUS_PAGE * 4096,
							 .len = 1,
							 .flags = VRING_DESC_F_WRITE };
	ring.desc[0] = (struct vring_desc){ .addr = VRING_DATA + 8 * 4096,
					    .len = QUEUE_SIZE_MAX * sizeof(*table),
					    .flags = VRING_DESC_F_INDIRECT };
	vring_test_offer(&ring, 0);
	is_int(kick(), 0);
	is_int(*DATA(STATUS_PAGE), IOERR);

	// A thousand pieces that fit: more than the kernel takes at once.
	*DATA(STATUS_PAGE) = UNTOUCHED;
	for (uint16_t i = 1; i < QUEUE_SIZE_MAX - 1; i++)
		table[i].len = 32;
	table[QUEUE_SIZE_MAX - 2].len = 96; // 1022 pieces, 64 sectors
	is_int((QUEUE_SIZE_MAX - 3) * 32 + 96, 64 * SECTOR);
	vring_test_offer(&ring, 0);
	is_int(kick(), 0);
	is_int(*DATA(STATUS_PAGE), OK);
	is_int(last_len(), 64 * SECTOR + 1);
	is_int(DATA(16)[0], 63);
	end();
}

static void broken(uint32_t header_len, bool status, const char *what)
{
	begin(false);
	put_header(VIRTIO_BLK_T_IN, 0);
	if (header_len > 0)
		piece(0, header_len, false);
	if (status)
		piece(STATUS_PAGE * 4096, 1, true);
	vring_test_offer(&ring, 0);
	is_int(kick(), -EPROTO);
	is_str(err.msg, what);
	end();
}

static void test_broken(void)
{
	broken(15, true, "a request without its header, or without a status");
	broken(16, false, "a request without its header, or without a status");
	broken(0, true, "a request without its header, or without a status");
	broken(UINT32_MAX, true, "queue: a buffer that is empty or not in memory");
}

// Others have their turn after some requests, and what is left is not forgotten.
static void test_turns(void)
{
	begin(false);
	put_header(VIRTIO_BLK_T_FLUSH, 0);
	piece(0, 16, false);
	piece(STATUS_PAGE * 4096, 1, true);
	for (int i = 0; i < 10; i++)
		vring_test_offer(&ring, 0);
	is_int(kick(), 0);
	is_int(ring.used->idx, 8);
	is_int(loop_once(loop, 0, &err), 0);
	is_int(ring.used->idx, 10);
	end();
}

int main(void)
{
	test_config();
	test_requests();
	test_framing();
	test_emptying();
	test_read_only();
	test_bounds();
	test_large();
	test_broken();
	test_turns();
	return done();
}
