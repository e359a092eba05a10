/* keras_archive.c: a .keras archive into a graph with weights. The zip and the JSON in it are read here;
 * model.weights.h5 is unpacked beside the home's files for graft-h5, which alone touches HDF5. An
 * archive with optimizer, metrics and assets is read without them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zoo/keras/keras_priv.h"

#define CONFIG_NAME    "config.json"
#define METADATA_NAME  "metadata.json"
#define WEIGHTS_NAME   "model.weights.h5"
#define CONFIG_LIMIT   ((size_t)16 << 20) /* Inception-v3's is 0.3 MB */
#define METADATA_LIMIT ((size_t)16 << 20)
#define WEIGHTS_LIMIT  ((size_t)2 << 30)
#define PORTION        ((size_t)1 << 20)

/* ---- members --------------------------------------------------------------------------------- */

static bool find_member(const gf__archive *zip, const char *name, size_t *index)
{
    for (*index = 0; *index < gf__archive_n_members(zip); (*index)++)
        if (strcmp(gf__archive_name_at(zip, *index), name) == 0)
            return true;
    return false;
}

static gf_status begin_member(gf__archive *zip, size_t index, size_t limit, size_t *size,
                              gf_error *err)
{
    gf_status st = gf__archive_begin(zip, index, size, err);
    if (st == GF_OK && *size > limit)
        st = gf_error_set(err, GF_ELIMIT, "has %zu bytes, at most %zu are read", *size, limit);
    return st;
}

static gf_status read_text(gf__archive *zip, size_t index, size_t limit, char **out, size_t *size,
                           gf_error *err)
{
    gf_status st = begin_member(zip, index, limit, size, err);
    if (st == GF_OK) {
        *out = gf__malloc(*size + 1);
        if (*out == NULL)
            st = gf__error_nomem(err, "text", *size);
    }
    if (st == GF_OK)
        st = gf__archive_read(zip, *out, *size, err);
    if (st == GF_OK)
        st = gf__archive_check_end(zip, err);
    gf__archive_end(zip);
    if (st != GF_OK) {
        gf__free(*out);
        *out = NULL;
    }
    return st;
}

static gf_status read_json(gf__archive *zip, const char *name, size_t limit, gf__json **out,
                           gf_error *err)
{
    char *text = NULL;
    size_t index = 0, size = 0;
    if (!find_member(zip, name, &index))
        return gf_error_set(err, GF_EFORMAT, "has no %s: not a model that Keras saved", name);
    gf_status st = read_text(zip, index, limit, &text, &size, err);
    if (st == GF_OK)
        st = gf__json_parse(text, size, out, err);
    gf__free(text);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", name);
    return st;
}

/* Who wrote it, for people, and what graft writes there. Keras does not read it. */
static gf_status read_metadata(gf__keras_archive *archive, gf_error *err)
{
    size_t index = 0;
    if (!find_member(archive->zip, METADATA_NAME, &index))
        return GF_OK;
    const gf_status st = read_json(archive->zip, METADATA_NAME, METADATA_LIMIT, &archive->metadata,
                                   err);
    const char *version = gf__json_string(gf__json_find(archive->metadata, "keras_version"), "");
    if (strspn(version, "0123456789abcdevrpost.+-") == strlen(version))
        snprintf(archive->version, sizeof archive->version, "%.23s", version);
    return st;
}

gf_status gf__keras_archive_open(const uint8_t *bytes, size_t n_bytes, gf__keras_archive *out,
                                 gf_error *err)
{
    gf_status st = gf__archive_open(bytes, n_bytes, &out->zip, err);
    if (st == GF_OK)
        st = read_json(out->zip, CONFIG_NAME, CONFIG_LIMIT, &out->model, err);
    if (st != GF_OK)
        return st;
    st = gf__keras_check_dialect(out->model, err);
    if (st == GF_OK)
        st = gf__graph_from_noted_config(out->model, &out->notes, &out->graph, err);
    if (st != GF_OK) {
        gf__error_prefix(err, CONFIG_NAME);
        return st;
    }
    if (!find_member(out->zip, WEIGHTS_NAME, &out->weights))
        return gf_error_set(err, GF_EFORMAT, "has no " WEIGHTS_NAME);
    return read_metadata(out, err);
}

void gf__keras_archive_close(gf__keras_archive *archive)
{
    gf__archive_close(archive->zip);
    gf__config_notes_free(&archive->notes);
    gf__json_free(archive->model);
    gf__json_free(archive->metadata);
    gf_graph_free(archive->graph);
    *archive = (gf__keras_archive){0};
}

/* ---- weights --------------------------------------------------------------------------------- */

static gf_status write_all(int fd, const char *bytes, size_t n, const char *path, gf_error *err)
{
    for (size_t n_done = 0; n_done < n;) {
        const ssize_t n_written = write(fd, bytes + n_done, n - n_done);
        if (n_written < 0 && errno == EINTR)
            continue;
        if (n_written < 0)
            return gf__error_errno(err, errno, "%s", path);
        n_done += (size_t)n_written;
    }
    return GF_OK;
}

static gf_status unpack_to(gf__keras_archive *archive, int fd, const char *path, gf_error *err)
{
    size_t size = 0;
    char *portion = gf__malloc(PORTION);
    if (portion == NULL)
        return gf__error_nomem(err, "a portion of a file", PORTION);
    gf_status st = begin_member(archive->zip, archive->weights, WEIGHTS_LIMIT, &size, err);
    for (size_t n_done = 0; st == GF_OK && n_done < size;) {
        const size_t n = size - n_done < PORTION ? size - n_done : PORTION;
        st = gf__archive_read(archive->zip, portion, n, err);
        if (st == GF_OK && n_done == 0) /* before a disk is filled with what is none */
            st = gf__hdf5_check_begin(portion, n, err);
        if (st == GF_OK)
            st = write_all(fd, portion, n, path, err);
        n_done += n;
    }
    if (st == GF_OK)
        st = gf__archive_check_end(archive->zip, err);
    gf__archive_end(archive->zip);
    gf__free(portion);
    return st;
}

/* Both files have no name any more when this returns. */
static gf_status convert_weights(gf__keras_archive *archive, const char *title,
                                 const char *scratch_dir, const gf_observer *obs,
                                 gf_safetensors **out, gf_error *err)
{
    char *path = gf__asprintf("%s/.import-XXXXXX", scratch_dir);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(scratch_dir));
    const int fd = mkstemp(path);
    if (fd < 0) {
        const gf_status st = gf__error_errno(err, errno, "%s", path);
        gf__free(path);
        return st;
    }
    gf_status st = unpack_to(archive, fd, path, err);
    if (close(fd) != 0 && st == GF_OK)
        st = gf__error_errno(err, errno, "%s", path);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", title);
    else
        st = gf__hdf5_convert_as(path, title, scratch_dir, obs, out, err);
    unlink(path);
    gf__free(path);
    return st;
}

static gf_status read_weights(gf__keras_archive *archive, const char *path, const char *scratch_dir,
                              const gf_observer *obs, gf__checkpoint *out, gf_error *err)
{
    char *title = gf__asprintf("%s: " WEIGHTS_NAME, path);
    if (title == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    gf_status st = convert_weights(archive, title, scratch_dir, obs, &out->file, err);
    if (st == GF_OK)
        st = gf__observe_progress(obs, "import", 1, 2, gf__path_base(path), err);
    if (st == GF_OK) {
        st = gf__keras_assign(out->file, &archive->notes, archive->graph, err);
        if (st != GF_OK)
            gf__error_prefix(err, "%s", title);
    }
    gf__free(title);
    return st;
}

/* ---- the whole ------------------------------------------------------------------------------- */

bool gf__keras_archive_begins(const char *head, size_t n)
{
    static const char *const names[] = {METADATA_NAME, CONFIG_NAME, WEIGHTS_NAME};
    const size_t n_header = 30; /* of a zip member, before its name */
    if (n < n_header || memcmp(head, "PK\x03\x04", 4) != 0)
        return false;
    const size_t n_name = (unsigned char)head[26] + 256U * (unsigned char)head[27];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (n_name == strlen(names[i]) && n >= n_header + n_name &&
            memcmp(head + n_header, names[i], n_name) == 0)
            return true;
    return false;
}

gf_status gf__keras_read(const char *path, const char *scratch_dir, const gf_observer *obs,
                         gf__checkpoint *out, gf_error *err)
{
    gf__mapping mapping = {0};
    gf__keras_archive archive = {0};
    gf_status st = gf__observe_progress(obs, "import", 0, 2, gf__path_base(path), err);
    if (st == GF_OK)
        st = gf__map_file(path, &mapping, err);
    if (st != GF_OK)
        return st; /* names the path itself */
    st = gf__keras_archive_open(mapping.data, mapping.size, &archive, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    else
        st = read_weights(&archive, path, scratch_dir, obs, out, err);
    if (st == GF_OK) {
        out->origin = gf__asprintf("Keras %s%smodel (.keras), %s", archive.version,
                                   archive.version[0] != '\0' ? " " : "", gf__path_base(path));
        if (out->origin == NULL)
            st = gf__error_nomem(err, "an origin", strlen(path));
    }
    if (st == GF_OK) {
        out->graph = archive.graph;
        archive.graph = NULL;
        gf__checkpoint_scale_input(&archive.notes, out);
        st = gf__checkpoint_read_properties(gf__json_find(archive.metadata, "graft"), out, err);
        if (st != GF_OK)
            gf__error_prefix(err, "%s: " METADATA_NAME, path);
    }
    gf__keras_archive_close(&archive);
    gf__unmap(&mapping);
    return st;
}
