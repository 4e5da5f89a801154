#include "vm-mode/devices/blk.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define QUEUE_SIZE   128
#define SECTOR_BYTES 512
// Of the host's page cache; the guest had better keep to it.
#define PAGE_SECTORS	 8
#define PAGE_SECTORS_LOG 3
// A request has a descriptor for its header, and one for its status.
#define SEGMENTS_MAX	  (QUEUE_SIZE - 2)
#define SEGMENT_MAX_BYTES (64 * 1024)
#define DATA_MAX_BYTES	  ((size_t)SEGMENTS_MAX * SEGMENT_MAX_BYTES)
#define RANGE_MAX_SECTORS (16 * 1024 * 1024 / SECTOR_BYTES)
#define TURNS_MAX	  8

// With a piece for the header or the status, the data of a chain has no more pieces than one call takes.
_Static_assert(QUEUE_CHAIN_MAX - 1 <= IOV_MAX, "more pieces than preadv(2) takes");

struct blk {
	struct device device;  // first
	struct device_ops ops; // of this disk: the features go by the file
	struct virtio_blk_config config;
	int fd;
	char id[VIRTIO_BLK_ID_BYTES]; // NULs behind it
	struct chain chain;
};

// ---- a request ----

// Drops the first `len` bytes of pieces that have them.
static void skip(struct iovec **pieces, size_t *count, size_t len)
{
	while (len > 0) {
		struct iovec *piece = *pieces;
		const size_t now = len < piece->iov_len ? len : piece->iov_len;

		piece->iov_base = (char *)piece->iov_base + now;
		piece->iov_len -= now;
		len -= now;
		if (piece->iov_len == 0) {
			++*pieces;
			--*count;
		}
	}
}

// 5.2.6: the driver's header, data in one direction, and last the status, for the device to write. What lies
// in which piece is the driver's choice (2.7.4). Leaves the data in the chain, and returns where the status
// goes; NULL: something is missing.
static uint8_t *take_apart(struct chain *chain, struct virtio_blk_outhdr *header)
{
	if (chain_read(chain, 0, header, sizeof(*header)) < sizeof(*header) || chain->in_bytes == 0)
		return NULL;
	skip(&chain->out, &chain->out_count, sizeof(*header));
	chain->out_bytes -= sizeof(*header);

	struct iovec *last = &chain->in[chain->in_count - 1];
	uint8_t *status = (uint8_t *)last->iov_base + --last->iov_len;
	chain->in_bytes--;
	if (last->iov_len == 0)
		chain->in_count--;
	return status;
}

static bool is_on_disk(const struct blk *blk, uint64_t sector, uint64_t count)
{
	return count > 0 && count <= blk->config.capacity && sector <= blk->config.capacity - count;
}

static uint8_t read_or_write(struct blk *blk, uint64_t sector, bool writes)
{
	struct chain *chain = &blk->chain;
	struct iovec *pieces = writes ? chain->out : chain->in;
	size_t count = writes ? chain->out_count : chain->in_count;
	size_t left = writes ? chain->out_bytes : chain->in_bytes;

	if (left % SECTOR_BYTES || left > DATA_MAX_BYTES ||
	    !is_on_disk(blk, sector, left / SECTOR_BYTES))
		return VIRTIO_BLK_S_IOERR;
	off_t at = (off_t)(sector * SECTOR_BYTES);
	while (left > 0) {
		const ssize_t done = writes ? pwritev2(blk->fd, pieces, (int)count, at, 0) :
					      preadv2(blk->fd, pieces, (int)count, at, 0);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) // 0: the file has become shorter
			return VIRTIO_BLK_S_IOERR;
		skip(&pieces, &count, (size_t)done);
		left -= (size_t)done;
		at += done;
	}
	return VIRTIO_BLK_S_OK;
}

// DISCARD and WRITE_ZEROES: one range, as the configuration says.
static uint8_t empty_range(struct blk *blk, bool zeroes)
{
	struct virtio_blk_discard_write_zeroes range;
	int mode = FALLOC_FL_KEEP_SIZE;

	if (blk->chain.out_bytes != sizeof(range))
		return VIRTIO_BLK_S_IOERR;
	// Behind the header, which is no more there.
	chain_read(&blk->chain, 0, &range, sizeof(range));
	if (range.flags & ~(zeroes ? (uint32_t)VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > RANGE_MAX_SECTORS ||
	    !is_on_disk(blk, range.sector, range.num_sectors))
		return VIRTIO_BLK_S_IOERR;
	mode |= zeroes && !range.flags ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	if (fallocate(blk->fd, mode, (off_t)(range.sector * SECTOR_BYTES),
		      (off_t)range.num_sectors * SECTOR_BYTES) < 0)
		return errno == EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t flush(const struct blk *blk)
{
	return fdatasync(blk->fd) < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

// On a disk that is read-only: an error, for so is the descriptor.
static uint8_t change(struct blk *blk, const struct virtio_blk_outhdr *header)
{
	const uint8_t status = header->type == VIRTIO_BLK_T_OUT ?
				       read_or_write(blk, header->sector, true) :
				       empty_range(blk, header->type == VIRTIO_BLK_T_WRITE_ZEROES);
	// 5.2.6.2: a driver that knows no FLUSH expects that what is done lasts.
	if (status == VIRTIO_BLK_S_OK && !(blk->device.driver_features >> VIRTIO_BLK_F_FLUSH & 1))
		return flush(blk);
	return status;
}

static uint8_t perform(struct blk *blk, const struct virtio_blk_outhdr *header)
{
	switch (header->type) {
	case VIRTIO_BLK_T_IN:
		return read_or_write(blk, header->sector, false);
	case VIRTIO_BLK_T_GET_ID:
		if (blk->chain.in_bytes != sizeof(blk->id))
			return VIRTIO_BLK_S_IOERR;
		chain_write(&blk->chain, 0, blk->id, sizeof(blk->id));
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blk->chain.in_bytes ? VIRTIO_BLK_S_IOERR : change(blk, header);
	case VIRTIO_BLK_T_FLUSH:
		return blk->chain.in_bytes ? VIRTIO_BLK_S_IOERR : flush(blk);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static ssize_t serve(struct device *dev, unsigned int index, struct err *err)
{
	struct blk *blk = (struct blk *)dev;
	const size_t in_bytes = blk->chain.in_bytes;
	struct virtio_blk_outhdr header;
	uint8_t *status = take_apart(&blk->chain, &header);

	(void)index;
	if (!status)
		return err_set(err, EPROTO, "a request without its header, or without a status");
	const uint8_t result = perform(blk, &header);
	*status = result;
	// 2.7.8.2: what is written from the first byte on; before the status of what failed there is
	// data that was not.
	return result == VIRTIO_BLK_S_OK || in_bytes == 1 ? (ssize_t)in_bytes : 0;
}

// ---- the device ----

static int kick(struct device *dev, unsigned int index, struct err *err)
{
	return dev_serve_chains(dev, index, &((struct blk *)dev)->chain, serve, TURNS_MAX, err);
}

static void config_read(struct device *dev, uint64_t offset, void *data, size_t len)
{
	const struct blk *blk = (struct blk *)dev;

	dev_config_read(&blk->config, sizeof(blk->config), offset, data, len);
}

static void close_device(struct device *dev)
{
	free(dev);
}

static const struct device_ops ops = {
	.id = VIRTIO_ID_BLOCK,
	.features = 1 << VIRTIO_BLK_F_SIZE_MAX | 1 << VIRTIO_BLK_F_SEG_MAX |
		    1 << VIRTIO_BLK_F_BLK_SIZE | 1 << VIRTIO_BLK_F_TOPOLOGY |
		    1 << VIRTIO_BLK_F_FLUSH,
	.queues = 1,
	.queue_size = QUEUE_SIZE,
	.config_read = config_read,
	.kick = kick,
	.close = close_device,
};

static const struct virtio_blk_config config = {
	.size_max = SEGMENT_MAX_BYTES,
	.seg_max = SEGMENTS_MAX,
	.blk_size = SECTOR_BYTES,
	.physical_block_exp = PAGE_SECTORS_LOG,
	.min_io_size = PAGE_SECTORS,
	.max_discard_sectors = RANGE_MAX_SECTORS,
	.max_discard_seg = 1,
	.discard_sector_alignment = PAGE_SECTORS,
	.max_write_zeroes_sectors = RANGE_MAX_SECTORS,
	.max_write_zeroes_seg = 1,
	.write_zeroes_may_unmap = 1,
};

int blk_create(struct device **device, int fd, const char *id, struct err *err)
{
	const int flags = fcntl(fd, F_GETFL);
	const off_t size = lseek(fd, 0, SEEK_END);

	if (flags < 0 || size < 0)
		return err_sys(err, "disk %s", id);
	if ((flags & O_ACCMODE) == O_WRONLY)
		return err_set(err, EINVAL, "disk %s: it must be open for reading", id);
	struct blk *blk = calloc(1, sizeof(*blk));
	if (!blk)
		return err_sysn(err, ENOMEM, "disk %s", id);
	blk->ops = ops;
	blk->ops.features |= (flags & O_ACCMODE) == O_RDONLY ?
				     1 << VIRTIO_BLK_F_RO :
				     1 << VIRTIO_BLK_F_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES;
	blk->device.ops = &blk->ops;
	blk->config = config;
	blk->config.capacity = (uint64_t)size / SECTOR_BYTES;
	blk->fd = fd;
	memcpy(blk->id, id, strnlen(id, sizeof(blk->id)));
	*device = &blk->device;
	return 0;
}
