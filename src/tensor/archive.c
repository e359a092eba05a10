/* tensor/archive.c: zip archives through libzip, read from memory and written to a file.
 *
 * Reading trusts nothing: a member may not claim more bytes than its packed ones can unpack to, so
 * a small file cannot ask for much memory, and what is unpacked must end where it claims with the
 * checksum it claims. Writing is one pass in which libzip pulls. The same members give the same
 * bytes: every date is the zip format's first day, as numpy writes it. */
#include "tensor/archive.h"

#include <string.h>

#include <zip.h>

/* Deflate's best is 258 bytes for 2 bits; a block's own header makes up the slack. */
#define MAX_RATIO   1032
#define RATIO_SLACK 1024

#define DOS_TIME 0    /* 00:00:00 */
#define DOS_DATE 0x21 /* 1980-01-01 */

struct gf__archive {
    zip_t *zip;
    size_t size; /* of the whole */
    size_t n_members;
    zip_file_t *current; /* being unpacked */
};

/* A libzip failure as ours. */
static gf_status set_error(gf_error *err, zip_error_t *reason, const char *what)
{
    switch (zip_error_code_zip(reason)) {
    case ZIP_ER_MEMORY:
        return gf_error_set(err, GF_ENOMEM, "%s: out of memory", what);
    case ZIP_ER_COMPNOTSUPP:
    case ZIP_ER_ENCRNOTSUPP:
    case ZIP_ER_MULTIDISK:
        return gf_error_set(err, GF_EUNSUPPORTED, "%s: %s", what, zip_error_strerror(reason));
    default:
        if (zip_error_system_type(reason) == ZIP_ET_SYS)
            return gf__error_errno(err, zip_error_code_system(reason), "%s", what);
        return gf_error_set(err, GF_EFORMAT, "%s: %s", what, zip_error_strerror(reason));
    }
}

static zip_t *open_bytes(const uint8_t *bytes, size_t n_bytes, zip_error_t *reason)
{
    zip_source_t *source = zip_source_buffer_create(bytes, n_bytes, 0, reason);
    if (source == NULL)
        return NULL;
    zip_t *zip = zip_open_from_source(source, ZIP_RDONLY, reason);
    if (zip == NULL)
        zip_source_free(source); /* an opened archive owns it */
    return zip;
}

static bool begins_like_zip(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes >= 4 && memcmp(bytes, "PK\x03\x04", 4) == 0;
}

gf_status gf__archive_open(const uint8_t *bytes, size_t n_bytes, gf__archive **out, gf_error *err)
{
    *out = NULL;
    if (n_bytes == 0) /* libzip takes it for an archive without members */
        return gf_error_set(err, GF_EFORMAT, "not a zip file: it is empty");
    gf__archive *archive = gf__calloc(1, sizeof *archive);
    if (archive == NULL)
        return gf__error_nomem(err, "a zip file", sizeof *archive);
    zip_error_t reason;
    zip_error_init(&reason);
    archive->size = n_bytes;
    archive->zip = open_bytes(bytes, n_bytes, &reason);
    gf_status st = GF_OK;
    if (archive->zip != NULL) {
        archive->n_members = (size_t)zip_get_num_entries(archive->zip, 0);
        *out = archive;
    } else {
        st = begins_like_zip(bytes, n_bytes) && zip_error_code_zip(&reason) == ZIP_ER_NOZIP
                 ? gf_error_set(err, GF_EFORMAT,
                                "a zip file without its directory, which is at the end: is the "
                                "file cut off?")
                 : set_error(err, &reason, "not a usable zip file");
        gf__free(archive);
    }
    zip_error_fini(&reason);
    return st;
}

void gf__archive_close(gf__archive *archive)
{
    if (archive == NULL)
        return;
    gf__archive_end(archive);
    zip_discard(archive->zip);
    gf__free(archive);
}

size_t gf__archive_n_members(const gf__archive *archive)
{
    return archive->n_members;
}

const char *gf__archive_name_at(const gf__archive *archive, size_t i)
{
    const char *name = zip_get_name(archive->zip, i, 0);
    return name != NULL ? name : "";
}

/* What can be told without unpacking anything. */
static gf_status check_claims(const gf__archive *archive, const zip_stat_t *info, gf_error *err)
{
    static const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                                       ZIP_STAT_ENCRYPTION_METHOD;
    if ((info->valid & needed) != needed)
        return gf_error_set(err, GF_EFORMAT, "the zip directory does not describe it");
    if (info->encryption_method != ZIP_EM_NONE)
        return gf_error_set(err, GF_EUNSUPPORTED, "it is encrypted");
    if (info->comp_method != ZIP_CM_STORE && info->comp_method != ZIP_CM_DEFLATE)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "zip compression method %d; only stored and deflated can be read",
                            info->comp_method);
    if (info->comp_size > archive->size)
        return gf_error_set(err, GF_EFORMAT, "%llu packed bytes in a file of %zu",
                            (unsigned long long)info->comp_size, archive->size);
    const uint64_t most = info->comp_method == ZIP_CM_STORE
                              ? info->comp_size
                              : info->comp_size * MAX_RATIO + RATIO_SLACK;
    if (info->size > most)
        return gf_error_set(err, GF_EFORMAT,
                            "%llu packed bytes claim to be %llu, which they cannot be",
                            (unsigned long long)info->comp_size, (unsigned long long)info->size);
    return GF_OK;
}

gf_status gf__archive_begin(gf__archive *archive, size_t i, size_t *size_bytes, gf_error *err)
{
    zip_stat_t info;
    if (zip_stat_index(archive->zip, i, 0, &info) != 0)
        return set_error(err, zip_get_error(archive->zip), "zip directory");
    const gf_status st = check_claims(archive, &info, err);
    if (st != GF_OK)
        return st;
    gf__archive_end(archive);
    archive->current = zip_fopen_index(archive->zip, i, 0);
    if (archive->current == NULL)
        return set_error(err, zip_get_error(archive->zip), "cannot unpack");
    *size_bytes = (size_t)info.size;
    return GF_OK;
}

gf_status gf__archive_read(gf__archive *archive, void *bytes, size_t n_bytes, gf_error *err)
{
    size_t n_done = 0;
    while (n_done < n_bytes) {
        const zip_int64_t n = zip_fread(archive->current, (uint8_t *)bytes + n_done,
                                        n_bytes - n_done);
        if (n < 0)
            return set_error(err, zip_file_get_error(archive->current), "cannot unpack");
        if (n == 0)
            return gf_error_set(err, GF_EFORMAT, "the unpacked bytes end early");
        n_done += (size_t)n;
    }
    return GF_OK;
}

/* libzip compares the checksum when a read finds the end, and only then. */
gf_status gf__archive_check_end(gf__archive *archive, gf_error *err)
{
    uint8_t byte;
    const zip_int64_t n = zip_fread(archive->current, &byte, 1);
    if (n < 0)
        return set_error(err, zip_file_get_error(archive->current), "cannot unpack");
    if (n > 0)
        return gf_error_set(err, GF_EFORMAT, "unpacks to more bytes than it claims");
    return GF_OK;
}

void gf__archive_end(gf__archive *archive)
{
    if (archive->current != NULL)
        zip_fclose(archive->current);
    archive->current = NULL;
}

/* Writing: one source a member, which libzip reads once. */
typedef struct source {
    const gf__archive_entry *entry;
    uint64_t n_done;
    gf_status status; /* of produce */
    gf_error failure;
    zip_error_t reason; /* what libzip is told */
} source;

static zip_int64_t read_source(source *s, uint8_t *out, zip_uint64_t n_wanted)
{
    const uint64_t n_left = s->entry->size_bytes - s->n_done;
    const size_t n = (size_t)(n_wanted < n_left ? n_wanted : n_left);
    if (n == 0)
        return 0;
    s->status = s->entry->produce(s->entry->user, out, n, &s->failure);
    if (s->status != GF_OK) {
        zip_error_set(&s->reason, ZIP_ER_CANCELLED, 0);
        return -1;
    }
    s->n_done += n;
    return (zip_int64_t)n;
}

static zip_int64_t describe_source(const source *s, void *out, zip_uint64_t n_bytes)
{
    zip_stat_t *info = out;
    if (n_bytes < sizeof *info)
        return -1;
    zip_stat_init(info);
    info->size = s->entry->size_bytes;
    info->valid = ZIP_STAT_SIZE;
    return sizeof *info;
}

static zip_int64_t refuse(source *s)
{
    zip_error_set(&s->reason, ZIP_ER_OPNOTSUPP, 0);
    return -1;
}

static zip_int64_t serve_libzip(void *user, void *data, zip_uint64_t n_bytes, zip_source_cmd_t cmd)
{
    source *s = user;
    switch (cmd) {
    case ZIP_SOURCE_OPEN: /* rows made on demand cannot be had twice */
        return s->n_done == 0 ? 0 : refuse(s);
    case ZIP_SOURCE_READ:
        return read_source(s, data, n_bytes);
    case ZIP_SOURCE_STAT:
        return describe_source(s, data, n_bytes);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&s->reason, data, n_bytes);
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_READABLE;
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE: /* gf__archive_write() owns it */
        return 0;
    default:
        return refuse(s);
    }
}

static gf_status add_member(zip_t *zip, source *s, bool is_compressed, gf_error *err)
{
    zip_source_t *from = zip_source_function(zip, serve_libzip, s);
    const zip_int64_t added = from != NULL
                                  ? zip_file_add(zip, s->entry->name, from, ZIP_FL_ENC_UTF_8)
                                  : -1;
    if (added < 0) {
        zip_source_free(from); /* NULL is fine; what was added belongs to the archive */
        if (zip_error_code_zip(zip_get_error(zip)) == ZIP_ER_EXISTS)
            return gf_error_set(err, GF_EINVAL, "two members are called '%.64s'", s->entry->name);
        return set_error(err, zip_get_error(zip), s->entry->name);
    }
    const zip_uint64_t i = (zip_uint64_t)added;
    if (zip_set_file_compression(zip, i, is_compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip, i, DOS_TIME, DOS_DATE, 0) != 0)
        return set_error(err, zip_get_error(zip), s->entry->name);
    return GF_OK;
}

/* A failed produce is the cause behind what libzip then says. */
static gf_status report_close(zip_t *zip, const source *sources, size_t n, gf_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (sources[i].status != GF_OK)
            return gf_error_set(err, sources[i].status, "%s", sources[i].failure.message);
    }
    const gf_status st = set_error(err, zip_get_error(zip), "cannot write");
    return st != GF_EFORMAT ? st : gf_error_set(err, GF_EIO, "cannot write: %s", zip_strerror(zip));
}

/* Everything into a zip at path, closed. */
static gf_status write_zip(const char *path, source *sources, size_t n, bool is_compressed,
                           gf_error *err)
{
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (zip == NULL) {
        zip_error_t reason;
        zip_error_init_with_code(&reason, code);
        const gf_status st = set_error(err, &reason, "cannot create a zip file");
        zip_error_fini(&reason);
        return st;
    }
    gf_status st = GF_OK;
    for (size_t i = 0; i < n && st == GF_OK; i++)
        st = add_member(zip, &sources[i], is_compressed, err);
    if (st == GF_OK && zip_close(zip) == 0)
        return GF_OK;
    if (st == GF_OK)
        st = report_close(zip, sources, n, err);
    zip_discard(zip);
    return st;
}

/* libzip itself writes another file beside the writer's and renames it over that one; the writer
 * then brings it to the disk and gives it the final name. */
static gf_status write_aside(const char *path, source *sources, size_t n, bool is_compressed,
                             gf_error *err)
{
    gf__writer *writer = NULL;
    gf_status st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        return st;
    st = write_zip(gf__writer_path(writer), sources, n, is_compressed, err);
    if (st == GF_OK)
        return gf__writer_commit(writer, err);
    gf__error_prefix(err, "%s", path);
    gf__writer_abort(writer);
    return st;
}

gf_status gf__archive_write(const char *path, const gf__archive_entry *entries, size_t n,
                            bool is_compressed, gf_error *err)
{
    source *sources = gf__calloc(n, sizeof *sources);
    if (sources == NULL)
        return gf__error_nomem(err, "a zip file", n * sizeof *sources);
    for (size_t i = 0; i < n; i++) {
        sources[i].entry = &entries[i];
        zip_error_init(&sources[i].reason);
    }
    const gf_status st = write_aside(path, sources, n, is_compressed, err);
    for (size_t i = 0; i < n; i++)
        zip_error_fini(&sources[i].reason);
    gf__free(sources);
    return st;
}
