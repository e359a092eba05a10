/* cli/terminal.c: what people see while something runs: a bar that redraws itself on a terminal, a
 * plain line every few seconds elsewhere. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/terminal_priv.h"

#define BAR_WIDTH 28
#define REDRAW_S  0.1 /* on a terminal */
#define LINE_S    5.0 /* elsewhere: a log is read later */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
    /* The first signal asks for an orderly stop; a second one must not be ignored. */
    signal(number, SIG_DFL);
}

void gf__terminal_catch_signals(void)
{
    struct sigaction action = {0};
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* Writing to a closed pipe, or past `ulimit -f`, is an error we report, not a silent death. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void gf__terminal_hold_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

bool gf__terminal_flush(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

bool gf__cli_is_interrupted(void)
{
    return interrupted != 0;
}

static bool is_bytes(const char *stage)
{
    return strcmp(stage, "download") == 0 || strcmp(stage, "upload") == 0;
}

static void format_count(char *text, size_t n_text, const char *stage, uint64_t n_done,
                         uint64_t n_total)
{
    if (is_bytes(stage))
        snprintf(text, n_text, "%.1f/%.1f MB", (double)n_done / 1e6, (double)n_total / 1e6);
    else
        snprintf(text, n_text, "%llu/%llu", (unsigned long long)n_done,
                 (unsigned long long)n_total);
}

/* "12.3/s, 4 s left"; empty before anything can be said. */
static void format_rate(char *text, size_t n_text, const gf__progress_bar *bar,
                        const gf_progress *p, double elapsed_s)
{
    text[0] = '\0';
    const double n_new = (double)(p->n_done - bar->n_started);
    if (elapsed_s < 0.2 || n_new <= 0)
        return;
    const double rate = n_new / elapsed_s;
    const double left_s = (double)(p->n_total - p->n_done) / rate;
    if (is_bytes(p->stage))
        snprintf(text, n_text, "%.1f MB/s", rate / 1e6);
    else
        snprintf(text, n_text, "%.1f/s", rate);
    const size_t n = strlen(text);
    if (p->n_done < p->n_total)
        snprintf(text + n, n_text - n, ", %.0f s left", ceil(left_s));
}

static void draw_bar(const gf__progress_bar *bar, const gf_progress *p, double elapsed_s)
{
    char count[64], rate[64], cells[BAR_WIDTH + 1];
    format_count(count, sizeof count, p->stage, p->n_done, p->n_total);
    format_rate(rate, sizeof rate, bar, p, elapsed_s);
    const int n_full = p->n_total > 0 ? (int)((double)p->n_done / (double)p->n_total * BAR_WIDTH)
                                      : 0;
    for (int i = 0; i < BAR_WIDTH; i++)
        cells[i] = i < n_full ? '=' : i == n_full ? '>' : '.';
    cells[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%-10s [%s] %s  %s", p->stage, cells, count, rate);
    fflush(stderr);
}

static void print_progress_line(const gf__progress_bar *bar, const gf_progress *p, double elapsed_s)
{
    char count[64], rate[64];
    format_count(count, sizeof count, p->stage, p->n_done, p->n_total);
    format_rate(rate, sizeof rate, bar, p, elapsed_s);
    fprintf(stderr, "%-10s %s  %s\n", p->stage, count, rate);
}

static void start_stage(gf__progress_bar *bar, const gf_progress *p, double time_s)
{
    gf__bar_end(bar);
    snprintf(bar->stage, sizeof bar->stage, "%s", p->stage);
    bar->started_s = time_s;
    bar->drawn_s = -1e9;
    bar->n_started = p->n_done;
}

static bool show_progress(void *user, const gf_progress *p)
{
    gf__progress_bar *bar = &((gf__cli *)user)->bar;
    if (bar->is_quiet)
        return !interrupted;
    const double time_s = gf__clock_s();
    if (strcmp(bar->stage, p->stage) != 0 || p->n_done < bar->n_done)
        start_stage(bar, p, time_s);
    bar->n_done = p->n_done;
    const bool is_last = p->n_total > 0 && p->n_done >= p->n_total;
    const double elapsed_s = time_s - bar->started_s;
    if (bar->is_terminal) {
        if (is_last || time_s - bar->drawn_s >= REDRAW_S) {
            draw_bar(bar, p, elapsed_s);
            bar->drawn_s = time_s;
            bar->is_shown = true;
        }
    } else if (is_last || (elapsed_s >= LINE_S && time_s - bar->drawn_s >= LINE_S)) {
        print_progress_line(bar, p, elapsed_s);
        bar->drawn_s = time_s;
    }
    return !interrupted;
}

static void show_log(void *user, gf_log_level level, const char *message)
{
    gf__cli *cli = user;
    if (level == GF_LOG_DEBUG || cli->is_quiet)
        return;
    gf__bar_end(&cli->bar);
    fprintf(stderr, "graft: %s: %s%s\n", cli->command, level == GF_LOG_WARNING ? "warning: " : "",
            message);
}

void gf__terminal_attach(gf__cli *cli)
{
    cli->bar.is_terminal = isatty(STDERR_FILENO) == 1;
    cli->bar.is_quiet = cli->is_quiet;
    cli->observer.progress = show_progress;
    cli->observer.log = show_log;
    cli->observer.user = cli;
}

void gf__bar_end(gf__progress_bar *bar)
{
    if (bar->is_shown)
        fputc('\n', stderr);
    bar->is_shown = false;
    bar->stage[0] = '\0';
}

void gf__cli_note(gf__cli *cli, const char *fmt, ...)
{
    if (cli->is_quiet)
        return;
    gf__bar_end(&cli->bar);
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

gf_status gf__cli_print_json(gf__json *document, gf_error *err)
{
    gf__buffer text = {0};
    gf_status st = document == NULL ? gf__error_nomem(err, "the result", 0)
                                    : gf__json_status(document, err);
    if (st == GF_OK) {
        gf__json_write(document, true, &text);
        st = gf__buffer_status(&text, err);
    }
    if (st == GF_OK)
        printf("%s\n", text.data);
    gf__buffer_free(&text);
    gf__json_free(document);
    return st;
}

gf_status gf__cli_read_picture(const char *path, gf__mapping *out, gf_error *err)
{
    *out = (gf__mapping){0};
    if (gf__is_dir(path))
        return gf_error_set(err, GF_EINVAL, "%s: is a folder, expected a picture file", path);
    return gf__map_file(path, out, err);
}
