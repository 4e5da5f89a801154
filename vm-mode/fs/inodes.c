#include "vm-mode/fs/inodes.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

// Memory that is zero, and costs nothing until it is used.
static void *lazy_alloc(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static size_t bucket_bytes(const struct inodes *inodes)
{
	return ((size_t)inodes->bucket_mask + 1) * sizeof(*inodes->buckets);
}

int inodes_create(struct inodes *inodes, uint32_t max)
{
	uint32_t buckets = 64;

	while (buckets < max && buckets < UINT32_C(1) << 30)
		buckets *= 2;
	*inodes = (struct inodes){ .max = max, .bucket_mask = buckets - 1 };
	inodes->table = lazy_alloc(max * sizeof(*inodes->table));
	inodes->buckets = lazy_alloc(bucket_bytes(inodes));
	if (inodes->table && inodes->buckets)
		return 0;
	inodes_free(inodes);
	return -ENOMEM;
}

void inodes_free(struct inodes *inodes)
{
	for (uint32_t i = 0; inodes->table && i < inodes->top; i++)
		if (inodes->table[i].fd >= 0)
			close(inodes->table[i].fd);
	if (inodes->table)
		munmap(inodes->table, inodes->max * sizeof(*inodes->table));
	if (inodes->buckets)
		munmap(inodes->buckets, bucket_bytes(inodes));
	*inodes = (struct inodes){ 0 };
}

struct inode *inodes_get(const struct inodes *inodes, uint64_t nodeid)
{
	if (nodeid == 0 || nodeid > inodes->top || inodes->table[nodeid - 1].fd < 0)
		return NULL;
	return &inodes->table[nodeid - 1];
}

uint64_t inodes_id(const struct inodes *inodes, const struct inode *inode)
{
	return (uint64_t)(inode - inodes->table) + 1;
}

static uint32_t *bucket_of(const struct inodes *inodes, uint64_t dev, uint64_t ino, uint64_t mount)
{
	uint64_t hash = ino * UINT64_C(0x9e3779b97f4a7c15);

	hash ^= (dev + (mount << 20)) * UINT64_C(0xff51afd7ed558ccd);
	hash ^= hash >> 32;
	return &inodes->buckets[hash & inodes->bucket_mask];
}

struct inode *inodes_find(const struct inodes *inodes, uint64_t dev, uint64_t ino, uint64_t mount)
{
	for (uint32_t at = *bucket_of(inodes, dev, ino, mount); at;
	     at = inodes->table[at - 1].next) {
		struct inode *inode = &inodes->table[at - 1];

		if (inode->ino == ino && inode->dev == dev && inode->mount == mount)
			return inode;
	}
	return NULL;
}

bool inodes_full(const struct inodes *inodes)
{
	return inodes->used == inodes->max;
}

struct inode *inodes_add(struct inodes *inodes, const struct inode *inode)
{
	uint32_t *bucket = bucket_of(inodes, inode->dev, inode->ino, inode->mount);
	uint32_t at = inodes->free;

	if (inodes_full(inodes))
		return NULL;
	if (at)
		inodes->free = inodes->table[at - 1].next;
	else
		at = ++inodes->top;
	struct inode *new = &inodes->table[at - 1];
	const uint32_t generation = new->generation + 1;

	*new = *inode;
	new->generation = generation;
	new->lookups = 1;
	new->next = *bucket;
	*bucket = at;
	inodes->used++;
	return new;
}

static void drop(struct inodes *inodes, struct inode *inode)
{
	const uint32_t at = (uint32_t)inodes_id(inodes, inode);
	uint32_t *link = bucket_of(inodes, inode->dev, inode->ino, inode->mount);

	while (*link != at)
		link = &inodes->table[*link - 1].next;
	*link = inode->next;
	close(inode->fd);
	inode->fd = -1;
	inode->next = inodes->free;
	inodes->free = at;
	inodes->used--;
}

bool inodes_forget(struct inodes *inodes, struct inode *inode, uint64_t count)
{
	if (inode == inodes->table)
		return false;
	inode->lookups -= count < inode->lookups ? count : inode->lookups;
	if (inode->lookups > 0)
		return false;
	drop(inodes, inode);
	return true;
}

void inodes_clear(struct inodes *inodes)
{
	for (uint32_t i = 1; i < inodes->top; i++)
		if (inodes->table[i].fd >= 0)
			drop(inodes, &inodes->table[i]);
}
