/* bench_http.c: asks an HTTP server the same thing many times and prints how long it took, as JSON.
 *
 *     bench_http --port N --path /v1/... [--path /other ...] --body FILE [--type application/json]
 *                [--clients 1] [--seconds 5] [--rate 0] [--seed 1]
 *
 * Without --rate each client sends its next request when it has its answer (closed loop). With
 * --rate requests are due at random moments, that many a second (Poisson), whether or not answers
 * have come, and a time counts from when the request was due: one that waited for a free client has
 * waited. Of several paths each request takes one at random. A connection that the server closes is
 * opened again; what fails is counted. */
#include <arpa/inet.h>
#include <getopt.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_PATHS   2000
#define MAX_CLIENTS 512
#define MAX_TIMES   200000
#define MAX_HEAD    2048
#define MAX_ANSWER  65536

typedef struct settings {
    const char *paths[MAX_PATHS];
    const char *body_path, *type;
    size_t n_paths;
    int port, n_clients;
    double seconds, rate;
    unsigned long seed;
} settings;

/* Shared by the clients: what is sent, when it is due, and what came back. */
typedef struct load {
    const settings *s;
    char *body;
    size_t n_body;
    double start_ms, end_ms, next_ms; /* next_ms: when the next request of an open loop is due */
    unsigned short random[3];
    double *times_ms;
    size_t n_times, n_failed;
    int codes[600];
    pthread_mutex_t lock;
} load;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void sleep_until(double ms)
{
    const double left = ms - now_ms();
    if (left <= 0)
        return;
    const struct timespec t = {.tv_sec = (time_t)(left / 1e3),
                               .tv_nsec = (long)(fmod(left, 1e3) * 1e6)};
    nanosleep(&t, NULL);
}

static int open_connection(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static int send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        bytes += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* Reads one answer with a Content-Length; its status code, or -1. */
static int read_answer(int fd, int *is_closing)
{
    char text[MAX_ANSWER + 1];
    size_t n = 0;
    for (;;) {
        const ssize_t got = n < MAX_ANSWER ? recv(fd, text + n, MAX_ANSWER - n, 0) : -1;
        if (got <= 0)
            return -1;
        n += (size_t)got;
        text[n] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (end == NULL)
            continue;
        const char *length = strcasestr(text, "\r\ncontent-length:");
        if (length == NULL || length > end)
            return -1;
        const size_t n_all = (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10);
        if (n < n_all)
            continue;
        const char *closing = strcasestr(text, "\r\nconnection: close");
        *is_closing = closing != NULL && closing < end;
        return (int)strtol(text + 9, NULL, 10);
    }
}

/* When the next request is due (now, in a closed loop) and which path it takes; false at the end. */
static int take_turn(load *l, double *due_ms, const char **path)
{
    pthread_mutex_lock(&l->lock);
    *path = l->s->paths[(size_t)(erand48(l->random) * (double)l->s->n_paths)];
    *due_ms = now_ms();
    if (l->s->rate > 0) {
        *due_ms = l->next_ms;
        l->next_ms += -log(1.0 - erand48(l->random)) * 1e3 / l->s->rate;
    }
    const int goes_on = *due_ms < l->end_ms && l->n_times + MAX_CLIENTS < MAX_TIMES;
    pthread_mutex_unlock(&l->lock);
    return goes_on;
}

static int ask(const load *l, int *fd, const char *path)
{
    char head[MAX_HEAD];
    int is_closing = 1;
    const int n_head = snprintf(head, sizeof head,
                                "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: %s\r\n"
                                "Content-Length: %zu\r\n\r\n",
                                path, l->s->port, l->s->type, l->n_body);
    if (*fd < 0)
        *fd = open_connection(l->s->port);
    int code = -1;
    if (*fd >= 0 && n_head > 0 && n_head < (int)sizeof head &&
        send_all(*fd, head, (size_t)n_head) == 0 && send_all(*fd, l->body, l->n_body) == 0)
        code = read_answer(*fd, &is_closing);
    if (*fd >= 0 && is_closing) {
        close(*fd);
        *fd = -1;
    }
    return code;
}

static void *run_client(void *user)
{
    load *l = user;
    double due_ms;
    const char *path;
    int fd = -1;
    while (take_turn(l, &due_ms, &path)) {
        sleep_until(due_ms);
        const int code = ask(l, &fd, path);
        pthread_mutex_lock(&l->lock);
        if (code == 200)
            l->times_ms[l->n_times++] = now_ms() - due_ms;
        else
            l->n_failed++;
        if (code > 0 && code < 600)
            l->codes[code]++;
        pthread_mutex_unlock(&l->lock);
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const load *l, double part)
{
    if (l->n_times == 0)
        return 0.0;
    size_t i = (size_t)ceil(part * (double)l->n_times);
    return l->times_ms[i > 0 ? i - 1 : 0];
}

static void print_line(load *l)
{
    const double seconds = (now_ms() - l->start_ms) / 1e3;
    qsort(l->times_ms, l->n_times, sizeof *l->times_ms, compare);
    printf("{\"clients\": %d, \"rate\": %.3f, \"seconds\": %.3f, \"n_ok\": %zu, \"n_failed\": %zu, "
           "\"per_second\": %.3f, \"p50_ms\": %.3f, \"p95_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"max_ms\": %.3f, \"codes\": {",
           l->s->n_clients, l->s->rate, seconds, l->n_times, l->n_failed,
           (double)l->n_times / seconds, percentile(l, 0.5), percentile(l, 0.95),
           percentile(l, 0.99), percentile(l, 1.0));
    const char *comma = "";
    for (int code = 0; code < 600; code++) {
        if (l->codes[code] == 0)
            continue;
        printf("%s\"%d\": %d", comma, code, l->codes[code]);
        comma = ", ";
    }
    printf("}}\n");
}

static int read_body(const char *path, char **bytes, size_t *n)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0)
        *bytes = malloc((size_t)size + 1);
    int is_read = 0;
    if (size >= 0 && *bytes != NULL) {
        rewind(file);
        *n = fread(*bytes, 1, (size_t)size, file);
        is_read = *n == (size_t)size;
    }
    if (file != NULL)
        fclose(file);
    return is_read;
}

static int run(const settings *s)
{
    pthread_t threads[MAX_CLIENTS];
    load l = {.s = s, .random = {(unsigned short)s->seed, (unsigned short)(s->seed >> 16), 0x330e}};
    l.times_ms = calloc(MAX_TIMES, sizeof *l.times_ms);
    if (l.times_ms == NULL || !read_body(s->body_path, &l.body, &l.n_body)) {
        fprintf(stderr, "bench_http: %s: cannot be read\n", s->body_path);
        free(l.times_ms);
        return 1;
    }
    pthread_mutex_init(&l.lock, NULL);
    l.start_ms = l.next_ms = now_ms();
    l.end_ms = l.start_ms + s->seconds * 1e3;
    int n = 0;
    while (n < s->n_clients && pthread_create(&threads[n], NULL, run_client, &l) == 0)
        n++;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    print_line(&l);
    pthread_mutex_destroy(&l.lock);
    free(l.body);
    free(l.times_ms);
    return n == s->n_clients ? 0 : 1;
}

static const struct option long_options[] = {{"port", required_argument, NULL, 'p'},
                                             {"path", required_argument, NULL, 'u'},
                                             {"body", required_argument, NULL, 'b'},
                                             {"type", required_argument, NULL, 't'},
                                             {"clients", required_argument, NULL, 'c'},
                                             {"seconds", required_argument, NULL, 's'},
                                             {"rate", required_argument, NULL, 'r'},
                                             {"seed", required_argument, NULL, 'e'},
                                             {NULL, 0, NULL, 0}};

static int read_option(settings *s, int letter)
{
    switch (letter) {
    case 'p':
        s->port = (int)strtol(optarg, NULL, 10);
        return 1;
    case 'u':
        if (s->n_paths == MAX_PATHS)
            return 0;
        s->paths[s->n_paths++] = optarg;
        return 1;
    case 'b':
        s->body_path = optarg;
        return 1;
    case 't':
        s->type = optarg;
        return 1;
    case 'c':
        s->n_clients = (int)strtol(optarg, NULL, 10);
        return s->n_clients > 0 && s->n_clients <= MAX_CLIENTS;
    case 's':
        s->seconds = strtod(optarg, NULL);
        return 1;
    case 'r':
        s->rate = strtod(optarg, NULL);
        return 1;
    case 'e':
        s->seed = strtoul(optarg, NULL, 10);
        return 1;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    static settings s = {.type = "application/json", .n_clients = 1, .seconds = 5.0, .seed = 1};
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (!read_option(&s, letter)) {
            fprintf(stderr, "bench_http: see the first lines of bench/bench_http.c\n");
            return 2;
        }
    }
    if (s.port <= 0 || s.n_paths == 0 || s.body_path == NULL) {
        fprintf(stderr, "bench_http: --port, --path and --body are needed\n");
        return 2;
    }
    return run(&s);
}
