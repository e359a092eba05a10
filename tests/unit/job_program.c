/* job_program.c: a job's process that does what it is told, for the tests of jobs/: it keeps to the
 * folder's contract (jobs/jobs.h), and breaks it when told to, which `graft job` does not.
 *
 *     job_program job DIR ATTEMPT
 *
 * Does the words of spec.json's training.args, or of DIR/plan, one after the other, then succeeds:
 *     say TEXT      a line of the log       note TEXT     progress.json, RUNNING, output {"note": TEXT}
 *     wait NAME     until DIR/NAME is there touch NAME    makes DIR/NAME
 *     fail TEXT     FAILED with that        succeed       SUCCEEDED, output {"done": ATTEMPT}
 *     crash         SIGKILL to itself       crash-until N the same in attempts before N
 *     exit N        leaves without a result deaf          SIGTERM is ignored from here on
 *     hang          never goes on           child         a process in its session that hangs
 *     daemon        one in a session of its own, its environment as ours, that hangs
 *     hidden        the same with an empty environment
 *     eat MB        touches so much memory  fork N        so many children that hang
 *     linger        SUCCEEDED, and never ends
 * SIGTERM: CANCELLED and out. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "jobs/jobs.h"

static const char *dir;
static int attempt;
static bool is_deaf;

static void fail_with(const char *why)
{
    dprintf(2, "job_program: %s\n", why);
    _exit(70);
}

static void write_document(const char *name, gf__json *document)
{
    gf__buffer text = {0};
    gf_error err;
    char *path = gf__path_join(dir, name);
    gf__json_write(document, false, &text);
    if (gf__write_file(path, text.data, text.size, &err) != GF_OK)
        fail_with(err.message);
    gf__json_free(document);
    gf__buffer_free(&text);
    gf__free(path);
}

static gf__json *document_of(const char *state)
{
    gf__json *document = gf__json_object();
    gf__json_set_int(document, "attempt", attempt);
    gf__json_set_string(document, "state", state);
    return document;
}

static void leave_result(const char *state, const char *message)
{
    gf__json *document = document_of(state), *output = gf__json_object();
    gf__json_set_int(output, "done", attempt);
    if (message != NULL)
        gf__json_set_string(document, "errorMessage", message);
    gf__json_set(document, "output", output);
    write_document("result.json", document);
}

static void check_signals(void)
{
    sigset_t pending;
    sigpending(&pending);
    if (is_deaf || !sigismember(&pending, SIGTERM))
        return;
    leave_result("CANCELLED", "the program was asked to end");
    _exit(0);
}

static void pause_a_little(void)
{
    check_signals();
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void append(const char *name, const char *text)
{
    char *path = gf__path_join(dir, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail_with(path);
    close(fd);
    gf__free(path);
}

static bool is_there(const char *name)
{
    char *path = gf__path_join(dir, name);
    const bool is = access(path, F_OK) == 0;
    gf__free(path);
    return is;
}

static void hang(void)
{
    for (;;)
        pause();
}

/* Returns in nobody but the parent. */
static void start_hanging(bool is_daemon, bool is_hidden)
{
    char text[32];
    if (fork() != 0)
        return;
    if (is_daemon) {
        setsid();
        if (fork() != 0)
            _exit(0);
    }
    snprintf(text, sizeof text, "%d\n", (int)getpid());
    append("others", text);
    signal(SIGTERM, SIG_IGN);
    if (is_hidden) /* its environment is gone from /proc, too */
        execle("/bin/sleep", "sleep", "100000", (char *)NULL, (char *[]){NULL});
    hang();
}

static void eat(long n_mb)
{
    for (long i = 0; i < n_mb; i++) {
        char *block = malloc(1 << 20);
        if (block == NULL)
            fail_with("no memory");
        memset(block, (int)i, 1 << 20);
    }
}

static void die(void)
{
    raise(SIGKILL);
}

/* One word that needs none after it; false: another. */
static bool do_word(const char *word)
{
    if (strcmp(word, "succeed") == 0 || strcmp(word, "linger") == 0) {
        leave_result("SUCCEEDED", NULL);
        if (word[0] == 'l')
            hang();
        _exit(0);
    } else if (strcmp(word, "crash") == 0)
        die();
    else if (strcmp(word, "deaf") == 0)
        is_deaf = true;
    else if (strcmp(word, "hang") == 0)
        for (;;)
            pause_a_little();
    else if (strcmp(word, "child") == 0)
        start_hanging(false, false);
    else if (strcmp(word, "daemon") == 0)
        start_hanging(true, false);
    else if (strcmp(word, "hidden") == 0)
        start_hanging(true, true);
    else
        return false;
    return true;
}

static void do_with(gf__job_log *log, const char *word, const char *text)
{
    if (strcmp(word, "say") == 0) {
        (void)gf__job_log_write(log, "stdout", NULL, text, strlen(text), NULL);
    } else if (strcmp(word, "note") == 0) {
        gf__json *document = document_of("RUNNING"), *output = gf__json_object();
        gf__json_set_string(output, "note", text);
        gf__json_set(document, "output", output);
        write_document("progress.json", document);
    } else if (strcmp(word, "wait") == 0) {
        while (!is_there(text))
            pause_a_little();
    } else if (strcmp(word, "touch") == 0) {
        append(text, "");
    } else if (strcmp(word, "fail") == 0) {
        leave_result("FAILED", text);
        _exit(0);
    } else if (strcmp(word, "crash-until") == 0) {
        if (attempt < strtol(text, NULL, 10))
            die();
    } else if (strcmp(word, "exit") == 0) {
        _exit((int)strtol(text, NULL, 10));
    } else if (strcmp(word, "eat") == 0) {
        eat(strtol(text, NULL, 10));
    } else if (strcmp(word, "fork") == 0) {
        for (long i = strtol(text, NULL, 10); i > 0; i--)
            start_hanging(false, false);
    } else {
        fail_with(word);
    }
}

/* The words of DIR/plan, one a line; else of the spec. */
static gf__json *read_words(void)
{
    gf_error err;
    char *text = NULL, *path = gf__path_join(dir, "plan");
    size_t size = 0;
    gf__json *spec = NULL, *words = gf__json_array();
    if (gf__read_file(path, 1 << 20, &text, &size, NULL) == GF_OK) {
        for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            gf__json_append(words, gf__json_new_string(line));
        }
    } else {
        gf__free(path);
        path = gf__path_join(dir, "spec.json");
        if (gf__read_file(path, 1 << 20, &text, &size, &err) != GF_OK ||
            gf__json_parse(text, size, &spec, &err) != GF_OK)
            fail_with(err.message);
        gf__json_free(words);
        words = gf__json_copy(gf__json_find(gf__json_find(spec, "training"), "args"));
        gf__json_free(spec);
    }
    gf__free(text);
    gf__free(path);
    return words;
}

/* One attempt at a time; who was there first is in "runs". */
static void take_lock(void)
{
    char text[64], *path = gf__path_join(dir, "lock");
    const int fd = open(path, O_RDWR | O_CREAT, 0666);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
        fail_with("the lock is taken");
    snprintf(text, sizeof text, "%d %d\n", attempt, (int)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, strlen(text)) < 0)
        fail_with("the lock");
    append("runs", text);
    gf__free(path);
}

int main(int argc, char **argv)
{
    if (argc != 4 || strcmp(argv[1], "job") != 0)
        fail_with("expected job DIR ATTEMPT");
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int i = 1; i < NSIG; i++)
        if (sigismember(&blocked, i) == 1 || signal(i, SIG_DFL) == SIG_IGN)
            fail_with("a signal is blocked or ignored");
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    dir = argv[2];
    attempt = (int)strtol(argv[3], NULL, 10);
    take_lock();
    gf__job_log *log = NULL;
    gf_error err;
    if (gf__job_log_open(dir, &log, &err) != GF_OK)
        fail_with(err.message);
    gf__json *words = read_words();
    for (size_t i = 0; i < gf__json_n_items(words); i++) {
        const char *word = gf__json_string(gf__json_at(words, i), "");
        check_signals();
        if (!do_word(word))
            do_with(log, word, gf__json_string(gf__json_at(words, ++i), ""));
    }
    do_word("succeed");
}
