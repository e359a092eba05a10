/* features/cache.c: the file behind cache_priv.h. After a header come segments of SLOTS slots:
 * first their entries (key and checksums) in one block, then their rows. So looking for a thousand
 * pictures among a million reads entries only, and a slot's place never moves.
 *
 * A row is written before its entry. Whatever stops a process, a slot without an entry is free and
 * will be written over; whatever reorders writes on the way to the disk, a row that does not match
 * its entry's checksum is not there. Rows are read with pread() and not mapped: a file cut short by
 * someone else is then a miss instead of a SIGBUS. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "features/cache_priv.h"

#define HEADER_BYTES 4096u
#define SLOTS        256u
#define NO_SLOT      SIZE_MAX

static const char magic[8] = {'G', 'F', 'F', 'E', 'A', 'T', '\0', '\1'}; /* last: format 1 */

typedef struct header {
    char magic[8];
    uint64_t n_values;
    uint64_t identity_bytes;
    char identity[HEADER_BYTES - 24];
} header;

typedef struct entry {
    uint8_t key[GF__CACHE_KEY];
    uint64_t row_checksum; /* XXH64 of the row, seed 0 */
    uint64_t reserved[2];
    uint64_t entry_checksum; /* XXH64 of the bytes before it, seed: the slot's number */
} entry;
_Static_assert(sizeof(header) == HEADER_BYTES && sizeof(entry) == 64, "as docs/formats.md says");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian");

typedef struct slot {
    uint8_t key[GF__CACHE_KEY];
    uint64_t row_checksum;
    bool is_dead;    /* its entry is damaged: nothing is known of it */
    bool is_damaged; /* its row is: to be written again */
} slot;

struct gf__cache {
    int fd;
    char *path;
    bool is_writable;
    size_t row_bytes;
    header *head;           /* what the file must start with */
    const gf_observer *obs; /* kept */

    pthread_mutex_t mutex; /* of the members below */
    slot *slots;
    size_t n_slots, slots_capacity;
    /* slot numbers by key, open addressing, NO_SLOT where free; a power of two, at most half
     * full */
    size_t *table;
    size_t table_size;
    size_t n_rows;
};

char *gf__cache_path(const char *dir, const char *identity)
{
    char hex[GF__SHA256_HEX];
    gf__sha256_hex(identity, strlen(identity), hex);
    return gf__asprintf("%s/%.32s.v1", dir, hex);
}

bool gf__cache_may_have_rows(const char *dir, const char *identity)
{
    uint64_t n_bytes = 0;
    char *path = gf__cache_path(dir, identity);
    const bool is_there = path != NULL && gf__file_size(path, &n_bytes, NULL) == GF_OK;
    gf__free(path);
    return is_there && n_bytes > HEADER_BYTES;
}

static off_t entry_offset(const gf__cache *cache, size_t number)
{
    const size_t segment_bytes = SLOTS * (sizeof(entry) + cache->row_bytes);
    return (off_t)(HEADER_BYTES + number / SLOTS * segment_bytes + number % SLOTS * sizeof(entry));
}

static off_t row_offset(const gf__cache *cache, size_t number)
{
    const size_t first = number - number % SLOTS;
    return entry_offset(cache, first) +
           (off_t)(SLOTS * sizeof(entry) + number % SLOTS * cache->row_bytes);
}

/* All n_bytes, fewer only at the end of the file; -1 with errno. */
static ssize_t read_at(int fd, void *bytes, size_t n_bytes, off_t offset)
{
    size_t n_done = 0;
    while (n_done < n_bytes) {
        const ssize_t n = pread(fd, (char *)bytes + n_done, n_bytes - n_done,
                                offset + (off_t)n_done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        n_done += (size_t)n;
    }
    return (ssize_t)n_done;
}

static bool write_at(int fd, const void *bytes, size_t n_bytes, off_t offset)
{
    size_t n_done = 0;
    while (n_done < n_bytes) {
        const ssize_t n = pwrite(fd, (const char *)bytes + n_done, n_bytes - n_done,
                                 offset + (off_t)n_done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        n_done += (size_t)n;
    }
    return true;
}

/* The table. A key is a SHA-256: its first bytes are as good as a hash. */
static size_t *find_place(const gf__cache *cache, const uint8_t key[GF__CACHE_KEY])
{
    uint64_t hash;
    memcpy(&hash, key, sizeof hash);
    for (size_t i = (size_t)hash;; i++) {
        size_t *place = &cache->table[i & (cache->table_size - 1)];
        if (*place == NO_SLOT || memcmp(cache->slots[*place].key, key, GF__CACHE_KEY) == 0)
            return place;
    }
}

static bool grow_table(gf__cache *cache)
{
    const size_t size = cache->table_size > 0 ? cache->table_size * 2 : 4 * SLOTS;
    size_t *table = gf__malloc(size * sizeof *table);
    if (table == NULL)
        return false;
    gf__free(cache->table);
    cache->table = table;
    cache->table_size = size;
    for (size_t i = 0; i < size; i++)
        table[i] = NO_SLOT;
    for (size_t number = 0; number < cache->n_slots; number++) {
        if (!cache->slots[number].is_dead)
            *find_place(cache, cache->slots[number].key) = number;
    }
    return true;
}

/* Remembers the next slot. Of two with one key the later counts: it was written because the earlier
 * was damaged. */
static bool add_slot(gf__cache *cache, const slot *next)
{
    if (cache->n_slots == cache->slots_capacity) {
        const size_t capacity = cache->slots_capacity + cache->slots_capacity / 2 + SLOTS;
        slot *slots = gf__realloc(cache->slots, capacity * sizeof *slots);
        if (slots == NULL)
            return false;
        cache->slots = slots;
        cache->slots_capacity = capacity;
    }
    if (2 * (cache->n_slots + 1) > cache->table_size && !grow_table(cache))
        return false;
    cache->slots[cache->n_slots] = *next;
    if (!next->is_dead) {
        size_t *place = find_place(cache, next->key);
        cache->n_rows += *place == NO_SLOT;
        *place = cache->n_slots;
    }
    cache->n_slots++;
    return true;
}

static uint64_t checksum_of_entry(const entry *e, size_t number)
{
    return gf__xxh64(e, offsetof(entry, entry_checksum), number);
}

/* Reads the entries that have come since the last look, up to the first free slot. */
static void scan(gf__cache *cache)
{
    static const entry free_entry;
    entry block[SLOTS];
    for (;;) {
        const size_t first = cache->n_slots;
        const size_t n_wanted = SLOTS - first % SLOTS;
        const ssize_t n_bytes = read_at(cache->fd, block, n_wanted * sizeof *block,
                                        entry_offset(cache, first));
        const size_t n_read = n_bytes > 0 ? (size_t)n_bytes / sizeof *block : 0;
        for (size_t i = 0; i < n_read; i++) {
            const entry *e = &block[i];
            if (memcmp(e, &free_entry, sizeof *e) == 0)
                return;
            slot next = {.row_checksum = e->row_checksum};
            memcpy(next.key, e->key, sizeof next.key);
            next.is_dead = e->entry_checksum != checksum_of_entry(e, first + i);
            if (!add_slot(cache, &next))
                return; /* memory is short: the rest is a miss */
        }
        if (n_read < n_wanted)
            return;
    }
}

/* One warning, then the cache is only read. */
static void stop_writing(gf__cache *cache, const gf_error *why)
{
    if (cache->is_writable)
        gf__observe_log(cache->obs, GF_LOG_WARNING, "the feature cache is not written: %s",
                        why->message);
    cache->is_writable = false;
}

static bool header_is_good(const gf__cache *cache)
{
    header found;
    return read_at(cache->fd, &found, sizeof found, 0) == (ssize_t)sizeof found &&
           memcmp(&found, cache->head, sizeof found) == 0;
}

/* A new file, or one whose header is not what it must be: started over, under the lock. Others who
 * have it open see rows vanish, which are misses to them. */
static gf_status start_file(gf__cache *cache, gf_error *err)
{
    gf__lock *lock = NULL;
    gf_status st = gf__lock_acquire(cache->path, true, &lock, err);
    if (st != GF_OK)
        return st;
    if (!header_is_good(cache) &&
        (ftruncate(cache->fd, 0) != 0 || !write_at(cache->fd, cache->head, sizeof *cache->head, 0)))
        st = gf__error_errno(err, errno, "%s", cache->path);
    gf__lock_release(lock);
    return st;
}

/* A folder that cannot be written may still hold features made by its owner. */
static gf_status open_file(gf__cache *cache, const char *dir, gf_error *err)
{
    gf_error why;
    gf_status st = gf__make_dirs(dir, &why);
    if (st == GF_OK) {
        cache->fd = open(cache->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (cache->fd < 0)
            st = gf__error_errno(&why, errno, "%s", cache->path);
    }
    cache->is_writable = true;
    if (st == GF_OK && !header_is_good(cache))
        st = start_file(cache, &why);
    if (st == GF_OK)
        return GF_OK;
    stop_writing(cache, &why);
    if (cache->fd < 0)
        cache->fd = open(cache->path, O_RDONLY | O_CLOEXEC);
    if (cache->fd >= 0 && header_is_good(cache))
        return GF_OK;
    return gf_error_set(err, st, "%s", why.message);
}

static header *new_header(const char *identity, size_t n_values)
{
    header *head = gf__calloc(1, sizeof *head);
    if (head == NULL)
        return NULL;
    memcpy(head->magic, magic, sizeof magic);
    head->n_values = n_values;
    head->identity_bytes = strlen(identity);
    memcpy(head->identity, identity,
           head->identity_bytes < sizeof head->identity ? head->identity_bytes
                                                        : sizeof head->identity);
    return head;
}

gf_status gf__cache_open(const char *dir, const char *identity, size_t n_values,
                         const gf_observer *obs, gf__cache **out, gf_error *err)
{
    *out = NULL;
    if (n_values > GF__CACHE_MAX_ROW_BYTES / sizeof(float))
        return GF_OK;
    gf__cache *cache = gf__calloc(1, sizeof *cache);
    if (cache == NULL)
        return gf__error_nomem(err, "the feature cache", sizeof *cache);
    cache->fd = -1;
    cache->row_bytes = n_values * sizeof(float);
    cache->obs = obs;
    pthread_mutex_init(&cache->mutex, NULL);
    cache->path = gf__cache_path(dir, identity);
    cache->head = new_header(identity, n_values);

    gf_status st = GF_OK;
    if (cache->path == NULL || cache->head == NULL || !grow_table(cache))
        st = gf__error_nomem(err, "the feature cache", sizeof *cache->head);
    else if (open_file(cache, dir, NULL) == GF_OK)
        scan(cache);
    if (st == GF_OK && cache->fd >= 0) {
        *out = cache;
        cache = NULL;
    }
    gf__cache_close(cache);
    return st;
}

void gf__cache_close(gf__cache *cache)
{
    if (cache == NULL)
        return;
    if (cache->fd >= 0)
        close(cache->fd);
    pthread_mutex_destroy(&cache->mutex);
    gf__free(cache->path);
    gf__free(cache->head);
    gf__free(cache->slots);
    gf__free(cache->table);
    gf__free(cache);
}

bool gf__cache_get(gf__cache *cache, const uint8_t key[GF__CACHE_KEY], float *row)
{
    pthread_mutex_lock(&cache->mutex);
    const size_t number = *find_place(cache, key);
    const bool is_there = number != NO_SLOT && !cache->slots[number].is_damaged;
    const uint64_t want = is_there ? cache->slots[number].row_checksum : 0;
    pthread_mutex_unlock(&cache->mutex);
    if (!is_there)
        return false;
    if (read_at(cache->fd, row, cache->row_bytes, row_offset(cache, number)) ==
            (ssize_t)cache->row_bytes &&
        gf__xxh64(row, cache->row_bytes, 0) == want)
        return true;
    pthread_mutex_lock(&cache->mutex);
    cache->slots[number].is_damaged = true;
    pthread_mutex_unlock(&cache->mutex);
    return false;
}

/* Row first, entry second: see the top of the file. */
static bool write_slot(gf__cache *cache, const float *row, const slot *content, size_t number)
{
    entry e = {.row_checksum = content->row_checksum};
    memcpy(e.key, content->key, sizeof e.key);
    e.entry_checksum = checksum_of_entry(&e, number);
    return write_at(cache->fd, row, cache->row_bytes, row_offset(cache, number)) &&
           write_at(cache->fd, &e, sizeof e, entry_offset(cache, number));
}

/* Under lock and mutex. */
static gf_status put_row(gf__cache *cache, const gf__cache_row *row, gf_error *err)
{
    const size_t known = *find_place(cache, row->key);
    if (known != NO_SLOT && !cache->slots[known].is_damaged)
        return GF_OK;
    slot next = {.row_checksum = gf__xxh64(row->values, cache->row_bytes, 0)};
    memcpy(next.key, row->key, sizeof next.key);
    const size_t number = known != NO_SLOT ? known : cache->n_slots;
    if (!write_slot(cache, row->values, &next, number))
        return gf__error_errno(err, errno, "%s", cache->path);
    if (known != NO_SLOT)
        cache->slots[known] = next;
    else if (!add_slot(cache, &next))
        return gf__error_nomem(err, "the feature cache", sizeof next);
    return GF_OK;
}

void gf__cache_put(gf__cache *cache, const gf__cache_row *rows, size_t n_rows)
{
    if (!cache->is_writable)
        return;
    gf_error why;
    gf__lock *lock = NULL;
    gf_status st = gf__lock_acquire(cache->path, true, &lock, &why);
    if (st == GF_OK) {
        pthread_mutex_lock(&cache->mutex);
        scan(cache); /* what others have put since */
        for (size_t i = 0; i < n_rows && st == GF_OK; i++)
            st = put_row(cache, &rows[i], &why);
        pthread_mutex_unlock(&cache->mutex);
    }
    gf__lock_release(lock);
    if (st != GF_OK)
        stop_writing(cache, &why);
}

size_t gf__cache_n_rows(const gf__cache *cache)
{
    return cache->n_rows;
}
