/* export/folder.c: an export that is a folder: made aside, renamed when it is whole, gone when it fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export/export_priv.h"

static gf_status refuse_existing(const gf__export_folder *folder, const char *path, gf_error *err)
{
    return gf_error_set(err, GF_EEXISTS, "%s: is there already; a %s is a folder of its own", path,
                        folder->kind);
}

/* Without asking for memory: that may be what there is none of. */
static void remove_folder(const gf__export_folder *folder, const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    folder->remove(folder->user, fd);
    (void)close(fd);
    (void)rmdir(dir);
}

/* path: no slash at its end, which would put the temporary folder into the one to be made. */
static gf_status write_aside(const gf__export_source *source, const char *path,
                             const gf__export_folder *folder, gf_error *err)
{
    char *aside = gf__asprintf("%s.tmp.%d", path, (int)getpid());
    if (aside == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    gf_status st = GF_OK;
    if (mkdir(aside, 0777) != 0) {
        st = gf__error_errno(err, errno, "%s: cannot create", path);
        gf__free(aside);
        return st;
    }
    st = folder->write(folder->user, aside, err);
    if (st == GF_OK)
        st = gf__export_end(source, err);
    if (st != GF_OK)
        gf__export_blame(err, aside, path);
    if (st == GF_OK && rename(aside, path) != 0)
        st = errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR /* since we looked */
                 ? refuse_existing(folder, path, err)
                 : gf__error_errno(err, errno, "%s: cannot give the new folder this name", path);
    if (st != GF_OK)
        remove_folder(folder, aside);
    gf__free(aside);
    return st;
}

gf_status gf__export_write_folder(const gf__export_source *source, const char *path,
                                  const gf__export_folder *folder, gf_error *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    char *name = gf__strndup(path, n);
    if (name == NULL)
        return gf__error_nomem(err, "a path", n);
    struct stat info;
    const gf_status st = lstat(name, &info) == 0 ? refuse_existing(folder, name, err)
                                                 : write_aside(source, name, folder, err);
    gf__free(name);
    return st;
}
