/* cli/cmd_serve.c: graft serve: options into gf_server_options, signals into drain and reopen. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/serve_container.h"

#define LOG_PATIENCE_MS 500
#define N_OTHER_FILES   1024 /* workers, the registry, jobs */

typedef struct serve_settings {
    const char *address, *project, *tls_cert, *tls_key, *cors_origin, *access_log, *port_file;
    const char *precision, *runner, *slurm_partition, *python;
    gf__cli_list file_roots;
    int port; /* -1: not given */
    int max_connections, max_instances, queue, job_cpus;
    uint64_t max_body, max_upload, max_header, head_memory, worker_memory;
    double deadline_s, run_timeout_s, idle_timeout_s, read_timeout_s, drain_timeout_s,
        drain_delay_s, job_grace_s;
    bool needs_tokens, is_open, ml_v1_errors_200, has_no_jobs;
} serve_settings;

static void preset(void *settings)
{
    const gf_server_options o = gf_server_options_default();
    serve_settings *s = settings;
    s->port = -1;
    s->precision = "auto";
    s->max_connections = (int)o.max_connections;
    s->max_instances = (int)o.max_instances;
    s->queue = (int)o.max_waiting;
    s->max_body = o.max_body_bytes;
    s->max_upload = o.max_upload_bytes;
    s->max_header = o.max_header_bytes;
    s->head_memory = o.max_head_bytes;
    s->worker_memory = o.max_worker_bytes;
    s->run_timeout_s = o.run_timeout_ms / 1e3;
    s->deadline_s = o.deadline_ms / 1e3;
    s->idle_timeout_s = o.idle_timeout_ms / 1e3;
    s->read_timeout_s = o.read_timeout_ms / 1e3;
    s->drain_timeout_s = o.drain_timeout_ms / 1e3;
    s->drain_delay_s = o.drain_delay_ms / 1e3;
    s->job_grace_s = o.job_grace_ms / 1e3;
}

static const gf__option serve_options[] = {
    GF__TEXT("--address", "ADDRESS", "127.0.0.1", serve_settings, address,
             "Where to listen. On any other than loopback clients need tokens."),
    GF__INT("--port", "N", "$PORT, else 8080", serve_settings, port, 0, 65535,
            "0 is any free one."),
    GF__TEXT("--port-file", "FILE", NULL, serve_settings, port_file,
             "Write the port into this file once the server listens."),
    GF__TEXT("--tls-cert", "F.pem", NULL, serve_settings, tls_cert,
             "Speak HTTPS with this certificate (and those that lead to its authority)."),
    GF__TEXT("--tls-key", "F.pem", NULL, serve_settings, tls_key, "The certificate's private key."),
    GF__TEXT("--project", "P", "default", serve_settings, project,
             "The project of names without one (TensorFlow Serving, KServe)."),
    GF__FLAG("--require-tokens", serve_settings, needs_tokens, "Ask for tokens on loopback, too."),
    GF__FLAG("--allow-unauthenticated", serve_settings, is_open,
             "Answer everybody on any address: for a network that is closed by other means."),
    GF__TEXT("--cors-origin", "ORIGIN", "none", serve_settings, cors_origin,
             "Web pages of this origin may ask; * for all."),
    GF__LIST("--allow-files", "DIR", "none", serve_settings, file_roots,
             "Versions may be made of file:// addresses below this folder. May be given several "
             "times."),
    GF__TEXT("--access-log", "FILE", "none", serve_settings, access_log,
             "One JSON line a request; - for stdout. SIGHUP opens it anew."),
    GF__SIZE("--max-body", "BYTES", "33554432", serve_settings, max_body, 1024, 1e12,
             "Larger requests are refused (413)."),
    GF__SIZE("--max-upload", "BYTES", "4294967296", serve_settings, max_upload, 1024, 1e15,
             "Larger files are not taken into buckets (413)."),
    GF__SIZE("--max-headers", "BYTES", "32768", serve_settings, max_header, 1024, 1e8,
             "Longer headers are refused (431)."),
    GF__INT("--max-connections", "N", "1000", serve_settings, max_connections, 1, 100000,
            "Further ones wait."),
    GF__INT("--max-instances", "N", "1024", serve_settings, max_instances, 1, 1e6,
            "Requests with more instances are refused (400)."),
    GF__NUMBER("--deadline", "SECONDS", "60", serve_settings, deadline_s, 0.001, 86400,
               "A prediction that takes longer is given up (504)."),
    GF__NUMBER("--read-timeout", "SECONDS", "30", serve_settings, read_timeout_s, 0, 86400,
               "A connection that says nothing for so long is closed; 0: never."),
    GF__INT("--queue", "N", "64", serve_settings, queue, 1, 1e6,
            "Requests that may wait for the models of one trunk; further ones are refused (429)."),
    GF__NUMBER("--idle-timeout", "SECONDS", "60", serve_settings, idle_timeout_s, 0.001, 1e6,
               "A worker without work for so long ends, unless a version's min nodes keep it."),
    GF__SIZE("--head-memory", "BYTES", "536870912", serve_settings, head_memory, 1, 1e13,
             "Heads loaded in one worker; the least used make way."),
    GF__SIZE("--worker-memory", "BYTES", "8589934592", serve_settings, worker_memory, 1e8, 1e15,
             "The address space that a worker may take."),
    GF__NUMBER("--run-timeout", "SECONDS", "30", serve_settings, run_timeout_s, 0.001, 86400,
               "A worker that is busy with one picture for longer is killed; the picture is tried "
               "once more."),
    GF__TEXT(
        "--precision", "auto|f32|bf16", "auto", serve_settings, precision,
        "What networks compute in: auto is what each model was trained with, where the CPU does "
        "that faster."),
    GF__NUMBER("--drain-timeout", "SECONDS", "30", serve_settings, drain_timeout_s, 0, 86400,
               "After SIGTERM, how long to wait for requests being answered."),
    GF__NUMBER("--drain-delay", "SECONDS", "0", serve_settings, drain_delay_s, 0, 3600,
               "After SIGTERM, how long to go on taking requests while not ready: load balancers "
               "need a moment."),
    GF__TEXT("--runner", "local|slurm", "local", serve_settings, runner,
             "Where jobs run: as processes of this machine, or through Slurm's sbatch."),
    GF__INT("--job-cpus", "N", "all of the machine's", serve_settings, job_cpus, 1, 100000,
            "CPUs that jobs use together; further jobs wait."),
    GF__NUMBER("--job-grace", "SECONDS", "10", serve_settings, job_grace_s, 0, 86400,
               "How long a job that is cancelled may take to end by itself."),
    GF__TEXT("--slurm-partition", "P", "Slurm's default", serve_settings, slurm_partition,
             "The partition that jobs go to with --runner slurm."),
    GF__TEXT(
        "--python", "PROGRAM", "python3", serve_settings, python,
        "The Python that runs jobs' packages: a path (of a virtual environment, say), or a name "
        "that is looked up where the job runs."),
    GF__FLAG("--no-jobs", serve_settings, has_no_jobs,
             "Take no training and prediction jobs; those there are can still be looked at."),
    GF__FLAG(
        "--ml-v1-errors-200", serve_settings, ml_v1_errors_200,
        "Give a model's failure on projects/...:predict the code 200, as the service did once."),
};

/* ---- signals --------------------------------------------------------------------------------- */

/* Handlers write a letter into a pipe that the main thread reads. A mask would be simpler and would
 * be inherited by the workers. */
static int signal_pipe[2] = {-1, -1};

static void on_signal(int number)
{
    const int saved = errno;
    const char letter = number == SIGHUP ? 'h' : 't';
    if (number != SIGHUP)
        signal(number, SIG_DFL); /* a second one ends the process at once */
    if (write(signal_pipe[1], &letter, 1) < 0)
        errno = 0; /* a full pipe: there is enough to read already */
    errno = saved;
}

static gf_status catch_signals(gf_error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return gf__error_errno(err, errno, "a pipe for signals");
    if (fcntl(signal_pipe[0], F_SETFL, 0) != 0) /* the reader may block, the handlers must not */
        return gf__error_errno(err, errno, "a pipe for signals");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
    return GF_OK;
}

/* Returns after SIGTERM or SIGINT. */
static void wait_for_end(gf_server *server)
{
    for (;;) {
        char letter = 0;
        const ssize_t n = read(signal_pipe[0], &letter, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != 1 || letter == 't')
            return;
        gf_error problem = {0};
        if (gf_server_reopen_logs(server, &problem) != GF_OK)
            fprintf(stderr, "graft: serve: %s\n", problem.message);
    }
}

/* ---- the command ----------------------------------------------------------------------------- */

/* The server's threads log whenever they like, one line each at a time. */
typedef struct serve_log {
    pthread_mutex_t mutex;
    bool is_quiet, is_stuck;
} serve_log;

static void write_log(void *user, gf_log_level level, const char *message)
{
    serve_log *log = user;
    if (level == GF_LOG_DEBUG || (log->is_quiet && level != GF_LOG_WARNING))
        return;
    pthread_mutex_lock(&log->mutex);
    /* A pipe that nobody reads any more must not stop the threads that log. */
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    log->is_stuck = poll(&room, 1, log->is_stuck ? 0 : LOG_PATIENCE_MS) == 0;
    if (!log->is_stuck)
        fprintf(stderr, "graft: serve: %s%s\n", level == GF_LOG_WARNING ? "warning: " : "",
                message);
    pthread_mutex_unlock(&log->mutex);
}

/* A connection is an open file. Many systems allow 1024 of those, and more to whoever asks. */
static void raise_open_files(int n_connections)
{
    const rlim_t wanted = (rlim_t)n_connections + N_OTHER_FILES;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted)
        return;
    files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* else the server makes do with what there is */
}

static int ms_of(double seconds)
{
    return (int)(seconds * 1000 + 0.5);
}

/* Slips that would only show much later, when a page or a file is refused or a probe finds nothing. */
static gf_status check_places(const serve_settings *s, const gf_server_options *o, gf_error *err)
{
    const char *origin = s->cors_origin;
    const char *host = origin != NULL ? strstr(origin, "://") : NULL;
    if (origin != NULL && strcmp(origin, "*") != 0 &&
        (host == NULL || host[3] == '\0' || strpbrk(host + 3, "/ ,") != NULL))
        return gf_error_set(err, GF_EINVAL,
                            "--cors-origin %.160s: expected * or SCHEME://HOST[:PORT], with "
                            "nothing after it",
                            origin);
    for (size_t i = 0; i < s->file_roots.n; i++)
        if (!gf__is_dir(s->file_roots.items[i]))
            return gf_error_set(err, GF_ENOTFOUND, "--allow-files %s: no such folder",
                                s->file_roots.items[i]);
    const char *const routes[] = {o->health_route, o->predict_route};
    for (size_t i = 0; i < 2; i++)
        if (routes[i] != NULL && routes[i][0] != '/')
            return gf_error_set(err, GF_EINVAL, "$AIP_%s_ROUTE is %s: expected a path like /%s",
                                i == 0 ? "HEALTH" : "PREDICT", routes[i],
                                i == 0 ? "health" : "predict");
    return GF_OK;
}

static gf_status fill_options(const gf__cli *cli, const serve_settings *s, gf_server_options *o,
                              gf_error *err)
{
    *o = gf_server_options_default();
    o->home = cli->home;
    o->n_threads = cli->n_threads;
    if (cli->max_pixels > 0)
        o->max_pixels = cli->max_pixels;
    if (s->address != NULL)
        o->address = s->address;
    if (s->port >= 0)
        o->port = s->port;
    if (s->project != NULL)
        o->project = s->project;
    o->tls_cert = s->tls_cert;
    o->tls_key = s->tls_key;
    o->needs_tokens = s->needs_tokens;
    o->is_open = s->is_open;
    o->cors_origin = s->cors_origin;
    o->file_roots = s->file_roots.items;
    o->n_file_roots = s->file_roots.n;
    o->access_log = s->access_log;
    o->max_body_bytes = s->max_body;
    o->max_upload_bytes = s->max_upload;
    o->max_header_bytes = (size_t)s->max_header;
    o->max_connections = (size_t)s->max_connections;
    o->max_instances = (size_t)s->max_instances;
    o->max_waiting = (size_t)s->queue;
    o->max_head_bytes = s->head_memory;
    o->max_worker_bytes = s->worker_memory;
    o->run_timeout_ms = ms_of(s->run_timeout_s);
    o->deadline_ms = ms_of(s->deadline_s);
    o->idle_timeout_ms = ms_of(s->idle_timeout_s);
    o->read_timeout_ms = ms_of(s->read_timeout_s);
    o->drain_timeout_ms = ms_of(s->drain_timeout_s);
    o->drain_delay_ms = ms_of(s->drain_delay_s);
    o->ml_v1_errors_200 = s->ml_v1_errors_200;
    if (s->runner != NULL)
        o->runner = s->runner;
    o->n_job_cpus = s->job_cpus;
    o->job_grace_ms = ms_of(s->job_grace_s);
    o->slurm_partition = s->slurm_partition;
    o->python = s->python;
    o->is_jobs_enabled = !s->has_no_jobs;
    if (s->needs_tokens && s->is_open)
        return gf_error_set(err, GF_EINVAL,
                            "--require-tokens and --allow-unauthenticated: only one of them");
    const gf__serve_wishes wishes = {.has_port = s->port >= 0,
                                     .has_address = s->address != NULL,
                                     .needs_tokens = s->needs_tokens};
    gf_status st = gf_precision_parse(s->precision, &o->precision, err);
    if (st == GF_OK)
        st = gf__serve_apply_container(&wishes, o, err);
    return st == GF_OK ? check_places(s, o, err) : st;
}

/* One line for people, or the document for programs; flushed, since the process goes on. */
static gf_status announce(gf__cli *cli, const serve_settings *s, const gf_server *server,
                          gf_error *err)
{
    char port[16];
    const int n = snprintf(port, sizeof port, "%d\n", gf_server_port(server));
    gf_status st = GF_OK;
    if (cli->is_json) {
        gf__json *document = gf__json_object();
        gf__json_set_string(document, "url", gf_server_url(server));
        gf__json_set_int(document, "port", gf_server_port(server));
        gf__json_set_int(document, "pid", getpid());
        gf__json_set_string(document, "home", cli->home);
        st = gf__cli_print_json(document, err);
        fflush(stdout);
    } else {
        fprintf(stderr, "graft: serving on %s (home %s)\n", gf_server_url(server), cli->home);
    }
    if (st == GF_OK && s->port_file != NULL)
        st = gf__write_file(s->port_file, port, (size_t)n, err);
    return st;
}

static gf_status serve(gf__cli *cli, const serve_settings *s, const gf_server_options *o,
                       gf_error *err)
{
    gf_server *server = NULL;
    gf_server_options options = *o;
    char version[GF__SERVE_NAME_SIZE] = "";
    gf_status st = gf__serve_register_storage(o, version, err);
    if (version[0] != '\0')
        options.vertex_version = version;
    if (st == GF_OK)
        st = gf_server_start(&options, &server, err);
    if (st == GF_OK)
        st = announce(cli, s, server, err);
    if (st == GF_OK) {
        wait_for_end(server);
        st = gf_server_drain(server, err);
    }
    gf_server_free(server);
    if (s->port_file != NULL && st == GF_OK)
        unlink(s->port_file); /* nobody listens there any more */
    return st;
}

static gf_status run_serve(gf__cli *cli, const void *settings, gf_error *err)
{
    const serve_settings *s = settings;
    serve_log log = {.mutex = PTHREAD_MUTEX_INITIALIZER, .is_quiet = cli->is_quiet};
    gf_server_options o;
    char program[64];
    gf_status st = fill_options(cli, s, &o, err);
    if (st != GF_OK)
        return st;
    /* The very file that this process runs, also when another has been put in its place meanwhile:
     * a worker of another build may speak another protocol. */
    snprintf(program, sizeof program, "/proc/%d/exe", (int)getpid());
    o.program = program;
    o.observer = (gf_observer){.log = write_log, .user = &log};
    raise_open_files(s->max_connections);
    st = catch_signals(err);
    return st == GF_OK ? serve(cli, s, &o, err) : st;
}

const gf__command gf__command_serve = {
    .name = "serve",
    .words = "",
    .summary = "Serve models over HTTP.",
    .text =
        "Answers Cloud ML Engine v1, TensorFlow Serving, KServe v1, the Open Inference Protocol v2 "
        "and "
        "graft's own API on one port, for the models of the home's registry (see graft models and "
        "graft versions). Workers are started when something is asked and end when idle.\n\n"
        "SIGTERM and SIGINT: not ready any more, finish what is being answered, exit 0; a second "
        "one "
        "ends at once. SIGHUP opens the access log anew.\n\n"
        "In a container: $PORT (Knative) or $AIP_HTTP_PORT, $AIP_HEALTH_ROUTE, $AIP_PREDICT_ROUTE "
        "(Vertex AI) are honoured, and the model file at $AIP_STORAGE_URI (a path or gs://) is "
        "served "
        "as the model $AIP_MODEL_NAME, or \"model\".",
    .examples = "graft serve\n"
                "graft serve --port 9000 --access-log access.log\n"
                "graft serve --address 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
    .options = serve_options,
    .n_options = GF__N_OPTIONS(serve_options),
    .settings_size = sizeof(serve_settings),
    .preset = preset,
    .run = run_serve,
};
