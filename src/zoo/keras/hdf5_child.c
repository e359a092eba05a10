/* hdf5_child.c: the guard in front of libhdf5. What can be seen without the library is checked
 * first: the signature, the size, that it is a plain file. Then graft-h5 reads it, in a process
 * with limits on memory, time and what it may write. A file made to crash or to hang libhdf5 ends
 * that process, and becomes an error message here. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zoo/keras/keras_priv.h"

#define FILE_LIMIT ((uint64_t)2 << 30)
#define TIMEOUT_MS 120000
#define PAUSE_MS   100 /* between looks at whether somebody wants to stop */

static const char hdf5_signature[8] = "\x89HDF\r\n\x1a\n";

/* ---- what can be checked without the library ---- */

gf_status gf__hdf5_check_begin(const char *head, size_t n, gf_error *err)
{
    if (n >= sizeof hdf5_signature && memcmp(head, hdf5_signature, sizeof hdf5_signature) == 0)
        return GF_OK;
    return gf_error_set(err, GF_EFORMAT, "is not an HDF5 file (no signature in front)");
}

static gf_status check_file(const char *path, const char *title, gf_error *err)
{
    char head[sizeof hdf5_signature];
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return gf__error_errno(err, errno, "%s", path);
    const bool is_read = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
                         pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head;
    close(fd);
    const gf_status st = gf__hdf5_check_begin(head, is_read ? sizeof head : 0, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", title);
        return st;
    }
    if ((uint64_t)info.st_size > FILE_LIMIT)
        return gf_error_set(err, GF_ELIMIT, "%s: has %lld bytes, at most %llu are read", title,
                            (long long)info.st_size, (unsigned long long)FILE_LIMIT);
    return GF_OK;
}

/* ---- where the program is ---- */

static bool is_beside(const char *file, char path[4096])
{
    static const char *const places[] = {"graft-h5", "../libexec/graft/graft-h5"};
    const int n_folder = (int)(gf__path_base(file) - file);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (snprintf(path, 4096, "%.*s%s", n_folder, file, places[i]) < 4096 &&
            access(path, X_OK) == 0)
            return true;
    return false;
}

/* Beside this program or this library (a build tree, or everything installed in one place), or in
 * libexec beside their folder (an installation that was moved), else where it was to be
 * installed. */
static gf_status find_program(char path[4096], gf_error *err)
{
    char self[4096];
    Dl_info library;
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    if (n > 0 && is_beside(self, path))
        return GF_OK;
    if (dladdr(hdf5_signature, &library) != 0 && library.dli_fname != NULL &&
        library.dli_fname[0] == '/' && is_beside(library.dli_fname, path))
        return GF_OK;
    snprintf(path, 4096, "%s/graft-h5", GRAFT_LIBEXECDIR);
    if (access(path, X_OK) == 0)
        return GF_OK;
    return gf_error_set(err, GF_ENOTFOUND,
                        "the program graft-h5, which reads HDF5 files, is neither beside this "
                        "program nor in %s",
                        GRAFT_LIBEXECDIR);
}

/* ---- running it ---- */

typedef struct errand {
    const char *const *words; /* what follows the program's name, NULL at the end */
    const char *title;        /* what messages are about */
    bool is_writing;          /* it, not reading it */
    const gf_observer *obs;
    const char *stage; /* that obs is told of, at its beginning */
    size_t n_steps;    /* 0 where it cannot be told */
} errand;

static gf_status ask_to_go_on(const errand *e, gf_error *err)
{
    return gf__observe_progress(e->obs, e->stage, 0, e->n_steps, NULL, err);
}

typedef struct child {
    pid_t pid;
    int message_fd; /* what it writes to its standard error */
} child;

/* In a process group of its own: a Ctrl-C at the terminal is for us to answer, in an orderly way. */
static gf_status spawn(const char *program, const char *const *words, child *out, gf_error *err)
{
    int ends[2];
    char *argv[5] = {(char *)program};
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        argv[i + 1] = (char *)words[i];
    char *envp[] = {(char *)"LC_ALL=C", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return gf__error_errno(err, errno, "pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    gf__spawn_attributes(&attributes);
    const int failure = posix_spawn(&out->pid, program, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failure != 0) {
        close(ends[0]);
        return gf__error_errno(err, failure, "starting %s", program);
    }
    out->message_fd = ends[0];
    return GF_OK;
}

/* Reads what the child says until it closes its end, which it does at the latest by dying, or the
 * time is over, or nobody wants it any more. */
static gf_status read_message(const errand *e, int fd, int64_t end_ms, char *message, size_t size,
                              gf_error *err)
{
    size_t n = 0;
    gf_status st = GF_OK;
    while (st == GF_OK) {
        char chunk[512];
        const int64_t left_ms = end_ms - gf__clock_ms();
        struct pollfd waited = {.fd = fd, .events = POLLIN};
        const int pause_ms = left_ms < PAUSE_MS ? (int)left_ms : PAUSE_MS;
        const int ready = left_ms > 0 ? poll(&waited, 1, pause_ms) : 0;
        st = ask_to_go_on(e, err);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0 && left_ms > 0)
            continue;
        const ssize_t got = ready > 0 ? read(fd, chunk, sizeof chunk) : 0;
        if (got <= 0)
            break;
        const size_t room = size - 1 - n;
        const size_t kept = (size_t)got < room ? (size_t)got : room; /* the rest is dropped */
        memcpy(message + n, chunk, kept);
        n += kept;
    }
    message[n] = '\0';
    return st;
}

/* Its end closed, the child is about to exit; one that was taken over may stay. False: it had to be
 * killed. */
static bool wait_for(pid_t pid, int64_t end_ms, int *wait_status)
{
    bool is_in_time = true;
    while (waitpid(pid, wait_status, is_in_time ? WNOHANG : 0) != pid) {
        if (!is_in_time)
            continue; /* EINTR */
        poll(NULL, 0, 2);
        if (gf__clock_ms() >= end_ms) {
            kill(pid, SIGKILL);
            is_in_time = false;
        }
    }
    return is_in_time;
}

/* One printable line: the child may have been taken over by its file. */
static void clean_line(char *message)
{
    message[strcspn(message, "\n")] = '\0';
    for (char *c = message; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?';
    }
}

static gf_status judge(const errand *e, int wait_status, const char *message, gf_error *err)
{
    if (WIFSIGNALED(wait_status))
        return e->is_writing
                   ? gf_error_set(err, GF_EIO, "%s: graft-h5 was ended while it wrote (signal %d)",
                                  e->title, WTERMSIG(wait_status))
                   : gf_error_set(err, GF_EFORMAT,
                                  "%s: the HDF5 library broke down on it (signal %d); the file is "
                                  "damaged",
                                  e->title, WTERMSIG(wait_status));
    if (WEXITSTATUS(wait_status) != 0)
        return gf_error_set(err, e->is_writing ? GF_EIO : GF_EFORMAT, "%s: %s", e->title,
                            message[0] != '\0' ? message : "graft-h5 could not do it");
    return GF_OK;
}

static gf_status run(const char *program, const errand *e, gf_error *err)
{
    child c;
    int wait_status = 0;
    char message[300];
    gf_status st = spawn(program, e->words, &c, err);
    if (st != GF_OK)
        return st;
    const int64_t end_ms = gf__clock_ms() + TIMEOUT_MS;
    st = read_message(e, c.message_fd, end_ms, message, sizeof message, err);
    close(c.message_fd);
    if (st != GF_OK)
        kill(c.pid, SIGKILL);
    const bool is_in_time = wait_for(c.pid, end_ms, &wait_status);
    clean_line(message);
    if (st != GF_OK)
        return st;
    if (!is_in_time)
        return gf_error_set(err, GF_EFORMAT, "%s: not done after %d seconds; damaged?", e->title,
                            TIMEOUT_MS / 1000);
    return judge(e, wait_status, message, err);
}

/* ---- both ---- */

static void remove_folder(const char *folder)
{
    gf__dir_list list = {0};
    if (gf__list_dir(folder, &list, NULL) == GF_OK) {
        for (size_t i = 0; i < list.n_names; i++) {
            char *path = gf__path_join(folder, list.names[i]);
            if (path != NULL)
                unlink(path);
            gf__free(path);
        }
    }
    gf__dir_list_free(&list);
    rmdir(folder);
}

gf_status gf__hdf5_convert(const char *path, const char *scratch_dir, const gf_observer *obs,
                           gf_safetensors **out, gf_error *err)
{
    return gf__hdf5_convert_as(path, path, scratch_dir, obs, out, err);
}

gf_status gf__hdf5_convert_as(const char *path, const char *title, const char *scratch_dir,
                              const gf_observer *obs, gf_safetensors **out, gf_error *err)
{
    char program[4096];
    char *folder = NULL, *output = NULL;
    bool has_folder = false;
    *out = NULL;
    gf_status st = check_file(path, title, err);
    if (st != GF_OK)
        goto done;
    st = find_program(program, err);
    if (st != GF_OK)
        goto done;
    folder = gf__asprintf("%s/.import-XXXXXX", scratch_dir);
    output = gf__asprintf("%s/.import-XXXXXX/weights.safetensors", scratch_dir);
    if (folder == NULL || output == NULL) {
        st = gf__error_nomem(err, "a path", strlen(scratch_dir));
        goto done;
    }
    if (mkdtemp(folder) == NULL) {
        st = gf__error_errno(err, errno, "%s", folder);
        goto done;
    }
    has_folder = true;
    memcpy(output, folder, strlen(folder));
    st = run(program,
             &(errand){.words = (const char *const[]){path, output, NULL},
                       .title = title,
                       .obs = obs,
                       .stage = "import",
                       .n_steps = 2},
             err);
    if (st != GF_OK)
        goto done;
    st = gf_safetensors_open(output, out, err);
done:
    /* A child that was killed leaves its half; a good file stays readable through its mapping. */
    if (has_folder)
        remove_folder(folder);
    gf__free(output);
    gf__free(folder);
    return st;
}

gf_status gf__hdf5_write(const char *tensors, const char *path, const gf_observer *obs,
                         gf_error *err)
{
    char program[4096];
    const gf_status st = find_program(program, err);
    if (st != GF_OK)
        return st;
    return run(program,
               &(errand){.words = (const char *const[]){"--write", tensors, path, NULL},
                         .title = path,
                         .is_writing = true,
                         .obs = obs,
                         .stage = "export"},
               err);
}
