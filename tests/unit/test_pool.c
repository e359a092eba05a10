/* test_pool.c: what the pool promises whoever asks it, whatever becomes of its workers. They are
 * pool_worker.c's, which die, hang and dawdle when told to. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "pool/pool.h"
#include "tiny_model.h"

typedef struct fixture {
    char *dir, *model;
    gf__pools *pools;
} fixture;

static gf__pools_options options_of(const char *home)
{
    gf__pools_options options = gf__pools_options_default();
    options.program = getenv("GRAFT_POOL_WORKER");
    options.home = home;
    options.n_threads = 2;
    options.deadline_ms = 30000;
    assert_non_null(options.program);
    return options;
}

static fixture set_up(const gf__pools_options *change)
{
    fixture f = {.dir = check_temp_dir()};
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    f.model = tiny_path(f.dir, "m.safetensors");
    tiny_save_model(f.model, trunk, head, false);
    gf_head_free(head);
    gf_trunk_free(trunk);
    gf__pools_options options = change != NULL ? *change : options_of(f.dir);
    options.home = f.dir;
    CHECK_OK(gf__pools_new(&options, &f.pools, &check_err));
    return f;
}

static void end(fixture *f)
{
    gf__pools_free(f->pools);
    gf__free(f->model);
    check_remove_dir(f->dir);
}

static void add(const fixture *f, const char *name, int min_nodes, int max_nodes)
{
    const gf__version_spec spec = {name, f->model, min_nodes, max_nodes};
    CHECK_OK(gf__pools_add(f->pools, &spec, &check_err));
}

static gf_status ask_many(gf__pools *pools, const char *name, const char *const *texts, size_t n,
                          int deadline_ms, gf__predictions **out, gf_error *err)
{
    gf__instance instances[64];
    for (size_t i = 0; i < n; i++)
        instances[i] = (gf__instance){
            .kind = GF__RUN_PICTURE, .bytes = texts[i], .n_bytes = strlen(texts[i])};
    gf__served *version = gf__pools_find(pools, name);
    assert_non_null(version);
    const gf__prediction_request request = {
        .version = version, .instances = instances, .n_instances = n, .deadline_ms = deadline_ms};
    const gf_status st = gf__pools_predict(pools, &request, out, err);
    gf__served_unref(version);
    return st;
}

/* The status of the whole, or of the one instance; -1 for a wrong answer. */
static int ask(gf__pools *pools, const char *name, const char *text, int deadline_ms, gf_error *err)
{
    gf__predictions *p = NULL;
    int st = (int)ask_many(pools, name, &text, 1, deadline_ms, &p, err);
    if (st == GF_OK) {
        st = (int)p->items[0].status;
        if (st != GF_OK)
            gf_error_set(err, p->items[0].status, "%s", p->items[0].message);
        else if (p->items[0].n_scores != 2 ||
                 (strncmp(text, "sleep", 5) != 0 && p->items[0].scores[0] != strtof(text, NULL)))
            st = -1;
    }
    gf__predictions_free(p);
    return st;
}

/* ---- waiting, never for longer than half a minute ---- */

typedef struct seen {
    size_t n_nodes, n_ready, n_busy, n_heads, head_bytes, waiting, n_failed_starts;
    pid_t pid; /* of one that is ready */
    char failure[GF_ERROR_MAX];
    char decisions[4096];
} seen;

static seen look(const fixture *f)
{
    gf__json *json = NULL;
    seen s = {0};
    CHECK_OK(gf__pools_describe(f->pools, &json, &check_err));
    const gf__json *pool = gf__json_at(gf__json_find(json, "pools"), 0);
    const gf__json *nodes = gf__json_find(pool, "nodes");
    const gf__json *decisions = gf__json_find(pool, "decisions");
    s.waiting = (size_t)gf__json_int(gf__json_find(pool, "waiting"), 0);
    s.n_failed_starts = (size_t)gf__json_int(gf__json_find(pool, "failedStarts"), 0);
    snprintf(s.failure, sizeof s.failure, "%s",
             gf__json_string(gf__json_find(pool, "failure"), ""));
    for (size_t i = 0; i < gf__json_n_items(nodes); i++) {
        const gf__json *node = gf__json_at(nodes, i);
        s.n_nodes++;
        s.n_busy += (size_t)gf__json_int(gf__json_find(node, "busy"), 0);
        s.n_heads += (size_t)gf__json_int(gf__json_find(node, "loadedHeads"), 0);
        s.head_bytes += (size_t)gf__json_int(gf__json_find(node, "headBytes"), 0);
        if (strcmp(gf__json_string(gf__json_find(node, "state"), ""), "ready") == 0) {
            s.n_ready++;
            s.pid = (pid_t)gf__json_int(gf__json_find(node, "pid"), 0);
        }
    }
    for (size_t i = 0; i < gf__json_n_items(decisions); i++) {
        const size_t n = strlen(s.decisions);
        const gf__json *reason = gf__json_find(gf__json_at(decisions, i), "reason");
        snprintf(s.decisions + n, sizeof s.decisions - n, "%s\n", gf__json_string(reason, ""));
    }
    gf__json_free(json);
    return s;
}

static void rest(void)
{
    nanosleep(&(struct timespec){0, 2000000}, NULL);
}

#define WAIT_UNTIL(f, s, condition)                                                            \
    do {                                                                                       \
        const int64_t wait_end = gf__clock_ms() + 120000;                                      \
        while (s = look(f), !(condition)) {                                                    \
            if (gf__clock_ms() > wait_end)                                                     \
                fail_msg("never: %s (%zu nodes, %zu ready, %zu heads)", #condition, s.n_nodes, \
                         s.n_ready, s.n_heads);                                                \
            rest();                                                                            \
        }                                                                                      \
    } while (0)

/* ---- clients ---- */

typedef struct client {
    gf__pools *pools;
    pthread_t thread;
    const char *name, *text; /* text NULL: a number of its own each time */
    int n_requests, number;
    atomic_bool *stop; /* NULL: n_requests */
    int n_ok, n_overload, n_unavailable, n_wrong;
    double end_s;
    gf_error err;
} client;

static void *be_client(void *argument)
{
    client *c = argument;
    for (int i = 0; c->stop != NULL ? !atomic_load(c->stop) : i < c->n_requests; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d", c->number * 10000 + i % 10000);
        const int st = ask(c->pools, c->name, c->text != NULL ? c->text : text, 0, &c->err);
        *(st == GF_OK             ? &c->n_ok
          : st == GF_EOVERLOAD    ? &c->n_overload
          : st == GF_EUNAVAILABLE ? &c->n_unavailable
                                  : &c->n_wrong) += 1;
    }
    c->end_s = gf__clock_s();
    return NULL;
}

static void start_clients(const fixture *f, client *clients, size_t n, client common)
{
    for (size_t i = 0; i < n; i++) {
        clients[i] = common;
        clients[i].pools = f->pools;
        clients[i].number = (int)i;
        if (clients[i].name == NULL)
            clients[i].name = "v";
        assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
    }
}

static client join_clients(client *clients, size_t n)
{
    client sum = {0};
    for (size_t i = 0; i < n; i++) {
        pthread_join(clients[i].thread, NULL);
        sum.n_ok += clients[i].n_ok;
        sum.n_overload += clients[i].n_overload;
        sum.n_unavailable += clients[i].n_unavailable;
        sum.n_wrong += clients[i].n_wrong;
        sum.end_s = clients[i].end_s;
        if (clients[i].n_wrong > 0)
            sum.err = clients[i].err;
    }
    return sum;
}

/* ---- the claims ---- */

TEST(pool__starts_from_nothing_and_goes_back_to_nothing)
{
    gf__pools_options options = options_of("");
    options.idle_timeout_ms = 50;
    fixture f = set_up(&options);
    const char *texts[] = {"1", "bad", "3"};
    gf__predictions *p = NULL;
    seen s;
    add(&f, "v", 0, 0);
    CHECK_EQ(look(&f).n_nodes, 0);
    CHECK_OK(ask_many(f.pools, "v", texts, 3, 0, &p, &check_err));
    CHECK_EQ(p->n_items, 3);
    CHECK(p->items[0].scores[0] == 1 && p->items[2].scores[0] == 3);
    CHECK_EQ(p->items[1].status, GF_EFORMAT);
    CHECK_STR(p->items[1].message, "bad, as told");
    CHECK(p->cold_start_ms > 0 && p->queue_ms >= p->cold_start_ms && p->load_ms > 0);
    gf__predictions_free(p);
    WAIT_UNTIL(&f, s, s.n_nodes == 0);
    CHECK(strstr(s.decisions, "idle for") != NULL && strstr(s.decisions, "no worker") != NULL);
    CHECK_EQ(ask(f.pools, "v", "5", 0, &check_err), GF_OK);
    end(&f);
}

TEST(pool__keeps_its_least_number_of_workers)
{
    gf__pools_options options = options_of("");
    options.idle_timeout_ms = 1;
    fixture f = set_up(&options);
    seen s;
    CHECK(gf__pools_are_ready(f.pools));
    add(&f, "v", 2, 2);
    CHECK(!gf__pools_are_ready(f.pools));
    WAIT_UNTIL(&f, s, s.n_ready == 2);
    CHECK(gf__pools_are_ready(f.pools));
    kill(s.pid, SIGKILL);
    const pid_t dead = s.pid;
    WAIT_UNTIL(&f, s, s.n_ready == 2 && s.pid != dead);
    CHECK_OK(gf__pools_scale(f.pools, "v", 9, 0, &check_err));
    CHECK(gf__pools_are_ready(f.pools)); /* there are no more than two threads */
    CHECK_OK(gf__pools_scale(f.pools, "v", 0, 0, &check_err));
    WAIT_UNTIL(&f, s, s.n_nodes == 0);
    CHECK_FAILS(GF_ENOTFOUND, "w is not", gf__pools_scale(f.pools, "w", 0, 0, &check_err));
    end(&f);
}

TEST(pool__refuses_at_once_what_does_not_fit_its_queue)
{
    gf__pools_options options = options_of("");
    options.max_waiting = 16;
    fixture f = set_up(&options);
    client clients[64];
    add(&f, "v", 0, 0);
    start_clients(&f, clients, 64, (client){.text = "sleep 20", .n_requests = 4});
    const client sum = join_clients(clients, 64);
    CHECK_EQ(sum.n_wrong + sum.n_unavailable, 0);
    CHECK_EQ(sum.n_ok + sum.n_overload, 256);
    CHECK(sum.n_ok >= 16 && sum.n_overload > 0);
    end(&f);
}

TEST(pool__loses_no_answer_when_workers_are_killed)
{
    fixture f = set_up(NULL);
    client clients[8];
    atomic_bool stop = false;
    seen s;
    add(&f, "v", 0, 0);
    start_clients(&f, clients, 8, (client){.stop = &stop});
    for (int i = 0, last = 0; i < 20; i++) {
        WAIT_UNTIL(&f, s, s.n_ready > 0 && s.pid != last);
        kill(s.pid, i % 2 == 0 ? SIGKILL : SIGSEGV);
        last = s.pid;
    }
    atomic_store(&stop, true);
    const client sum = join_clients(clients, 8);
    if (sum.n_wrong > 0)
        fail_msg("%d wrong: %s", sum.n_wrong, sum.err.message);
    CHECK_EQ(sum.n_overload + sum.n_unavailable, 0);
    CHECK(sum.n_ok > 0);
    end(&f);
}

/* The kernel does that where there is not the memory. Starting again at once, over and over, would
 * take the machine from everybody else. */
TEST(pool__waits_longer_and_longer_for_workers_that_end_before_they_answer)
{
    fixture f = set_up(NULL);
    seen s;
    pid_t last = 0;
    int64_t began_ms = 0;
    add(&f, "v", 1, 1);
    for (int i = 0; i < 5; i++) {
        WAIT_UNTIL(&f, s, s.n_ready == 1 && s.pid != last);
        last = s.pid;
        began_ms = i == 0 ? gf__clock_ms() : began_ms;
        kill(last, SIGKILL);
    }
    CHECK(gf__clock_ms() - began_ms >= 50 + 100 + 200); /* the first is replaced at once */
    WAIT_UNTIL(&f, s, s.n_failed_starts == 5);
    CHECK(strstr(s.failure, "killed by signal 9 (Killed) before it had answered anything") != NULL);
    CHECK_EQ(ask(f.pools, "v", "5", 0, &check_err), GF_OK); /* is kept until there is one */
    s = look(&f);
    CHECK_EQ(s.n_failed_starts, 0);
    end(&f);
}

TEST(pool__fails_the_picture_that_two_workers_died_of_and_no_other)
{
    fixture f = set_up(NULL);
    client clients[6];
    atomic_bool stop = false;
    add(&f, "v", 0, 0);
    start_clients(&f, clients, 6, (client){.stop = &stop});
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(ask(f.pools, "v", "crash", 0, &check_err), GF_EFORMAT);
        CHECK(strstr(check_err.message, "two workers died of this picture (killed by signal 11") !=
              NULL);
    }
    atomic_store(&stop, true);
    const client sum = join_clients(clients, 6);
    if (sum.n_wrong > 0)
        fail_msg("%d wrong: %s", sum.n_wrong, sum.err.message);
    CHECK_EQ(sum.n_unavailable, 0);
    end(&f);
}

static void keep_counts(void *user, const gf__version_counts *counts)
{
    *(gf__version_counts *)user = *counts;
}

TEST(pool__counts_what_was_answered_what_failed_and_what_was_refused)
{
    fixture f = set_up(NULL);
    const char *const texts[] = {"1", "bad", "3"};
    gf__predictions *p = NULL;
    gf__version_counts counts = {0};
    add(&f, "v", 0, 0);
    CHECK_EQ(ask(f.pools, "v", "2", 0, &check_err), GF_OK);
    CHECK_OK(ask_many(f.pools, "v", texts, 3, 0, &p, &check_err));
    gf__predictions_free(p);
    gf__pools_count(f.pools, NULL, keep_counts, &counts);
    CHECK_EQ(counts.n_requests_ok, 1);
    CHECK_EQ(counts.n_requests_failed, 1); /* one bad picture fails the whole */
    CHECK_EQ(counts.n_instances, 3);
    CHECK_EQ(counts.n_waiting, 0);
    CHECK(counts.duration_us > 0 && counts.duration_us >= counts.queue_us);
    gf__pools_drain(f.pools, 0);
    CHECK_EQ(ask(f.pools, "v", "2", 0, &check_err), GF_EUNAVAILABLE);
    gf__pools_count(f.pools, NULL, keep_counts, &counts);
    CHECK_EQ(counts.n_rejected, 1);
    CHECK_EQ(counts.n_requests_failed, 1);
    end(&f);
}

/* How many of 800 requests beside it were answered: on a busy machine, one of these may be held for
 * longer than the time. */
static int kill_one_that_hangs(int run_timeout_ms)
{
    char said[64];
    gf__pools_options options = options_of("");
    options.run_timeout_ms = run_timeout_ms;
    fixture f = set_up(&options);
    client clients[4];
    add(&f, "v", 0, 0);
    start_clients(&f, clients, 4, (client){.n_requests = 200});
    CHECK_EQ(ask(f.pools, "v", "hang", 0, &check_err), GF_ETIMEOUT);
    snprintf(said, sizeof said, "%d ms by two workers", run_timeout_ms);
    CHECK(strstr(check_err.message, said) != NULL);
    const client sum = join_clients(clients, 4);
    end(&f);
    return sum.n_ok;
}

TEST(pool__kills_a_worker_that_hangs)
{
    int n_ok = 0;
    for (int ms = 200; ms <= 20000 && n_ok < 800; ms *= 10)
        n_ok = kill_one_that_hangs(ms);
    CHECK_EQ(n_ok, 800);
}

TEST(pool__keeps_deadlines)
{
    fixture f = set_up(NULL);
    gf__predictions *p = NULL;
    bool is_one_done = false;
    add(&f, "v", 0, 1);
    CHECK_EQ(ask(f.pools, "v", "1", 0, &check_err), GF_OK);
    /* The first needs no time, but a busy machine may take a short one to get there. */
    for (int ms = 100; ms <= 10000 && !is_one_done; ms *= 10) {
        char sleep[32], said[64];
        snprintf(sleep, sizeof sleep, "sleep %d", 3 * ms);
        snprintf(said, sizeof said, "not done within %d ms: ", ms);
        const char *texts[] = {"1", sleep, sleep, sleep};
        CHECK_FAILS(GF_ETIMEOUT, said, ask_many(f.pools, "v", texts, 4, ms, &p, &check_err));
        assert_null(p);
        is_one_done = strstr(check_err.message, ": 1 of 4") != NULL;
    }
    CHECK(is_one_done);
    CHECK_EQ(ask(f.pools, "v", "2", 0, &check_err), GF_OK);
    end(&f);
}

/* Sixty times so many ms; each of five requests beside it waits for a handful of these. */
static bool lone_ends_first(fixture *f, const char *sleep)
{
    const char *texts[60];
    client lone[1];
    gf__predictions *p = NULL;
    for (size_t i = 0; i < 60; i++)
        texts[i] = sleep;
    start_clients(f, lone, 1, (client){.n_requests = 5});
    CHECK_OK(ask_many(f->pools, "v", texts, 60, 0, &p, &check_err));
    const double end_s = gf__clock_s();
    gf__predictions_free(p);
    const client sum = join_clients(lone, 1);
    CHECK_EQ(sum.n_ok, 5);
    return sum.end_s < end_s;
}

TEST(pool__takes_turns_between_requests)
{
    fixture f = set_up(NULL);
    add(&f, "v", 0, 1);
    CHECK_EQ(ask(f.pools, "v", "1", 0, &check_err), GF_OK);
    /* A client that is held for so long comes too late. */
    CHECK(lone_ends_first(&f, "sleep 10") || lone_ends_first(&f, "sleep 50") ||
          lone_ends_first(&f, "sleep 250"));
    end(&f);
}

TEST(pool__checks_before_it_serves)
{
    fixture f = set_up(NULL);
    const gf__version_spec spec = {"v", f.model, 0, 0};
    double load_ms = -1;
    CHECK_OK(gf__pools_check(f.pools, &spec, &load_ms, &check_err));
    CHECK(load_ms == 1);
    assert_null(gf__pools_find(f.pools, "v"));
    add(&f, "v", 0, 0);
    CHECK_FAILS(GF_EEXISTS, "v is being", gf__pools_add(f.pools, &spec, &check_err));
    CHECK_EQ(ask(f.pools, "v", "1", 0, &check_err), GF_OK);
    const tiny_change broken = {.from = "\"layer\":\"conv\"", .to = "\"layer\":\"broken\""};
    tiny_change_model(f.model, &broken);
    const gf__version_spec bad = {"w", f.model, 0, 0};
    CHECK_FAILS(GF_ENOTFOUND, "no layer broken", gf__pools_check(f.pools, &bad, NULL, &check_err));
    CHECK_EQ(ask(f.pools, "v", "2", 0, &check_err), GF_OK);
    end(&f);
}

TEST(pool__says_why_no_worker_can_be_started)
{
    fixture f = set_up(NULL);
    const tiny_change broken = {.from = "\"layer\":\"conv\"", .to = "\"layer\":\"broken\""};
    tiny_change_model(f.model, &broken);
    add(&f, "v", 0, 0);
    CHECK_EQ(ask(f.pools, "v", "1", 0, &check_err), GF_EUNAVAILABLE);
    CHECK(strstr(check_err.message, "there is no layer broken") != NULL);
    end(&f);
}

TEST(pool__gives_a_new_cut_without_a_pause)
{
    fixture f = set_up(NULL);
    client clients[4];
    atomic_bool stop = false;
    seen s;
    add(&f, "v", 0, 1);
    start_clients(&f, clients, 4, (client){.stop = &stop});
    WAIT_UNTIL(&f, s, s.n_ready == 1);
    const pid_t old = s.pid;
    const tiny_change other = {.from = "\"layer\":\"conv\"", .to = "\"layer\":\"else\""};
    tiny_change_model(f.model, &other);
    const gf__version_spec spec = {"w", f.model, 0, 1};
    CHECK_OK(gf__pools_check(f.pools, &spec, NULL, &check_err));
    CHECK_OK(gf__pools_add(f.pools, &spec, &check_err));
    CHECK_EQ(ask(f.pools, "w", "3", 0, &check_err), GF_OK);
    WAIT_UNTIL(&f, s, s.n_nodes == 1 && s.pid != old);
    atomic_store(&stop, true);
    const client sum = join_clients(clients, 4);
    CHECK_EQ(sum.n_wrong + sum.n_unavailable + sum.n_overload, 0);
    end(&f);
}

static int threads_of(gf__pools *pools, const char *name)
{
    static const char *const text[] = {"threads"};
    gf__predictions *p = NULL;
    CHECK_OK(ask_many(pools, name, text, 1, 0, &p, &check_err));
    CHECK_EQ(p->items[0].status, GF_OK);
    const int n = (int)p->items[0].scores[0];
    gf__predictions_free(p);
    return n;
}

static void wait_for_threads(gf__pools *pools, const char *name, int wanted)
{
    const int64_t end_ms = gf__clock_ms() + 120000;
    for (int n; (n = threads_of(pools, name)) != wanted; rest())
        if (gf__clock_ms() > end_ms)
            fail_msg("%s never has %d threads, now %d", name, wanted, n);
}

TEST(pool__gives_threads_to_the_workers_that_have_something_to_do)
{
    fixture f = set_up(NULL);
    client busy[1];
    atomic_bool stop = false;
    gf_trunk *trunk = tiny_trunk("another");
    gf_head *head = tiny_head(4);
    char *model = tiny_path(f.dir, "another.safetensors");
    tiny_save_model(model, trunk, head, false);
    add(&f, "v", 1, 1);
    CHECK_OK(gf__pools_add(f.pools, &(gf__version_spec){"w", model, 1, 1}, &check_err));
    CHECK_EQ(ask(f.pools, "v", "1", 0, NULL), GF_OK);

    wait_for_threads(f.pools, "w", 2); /* beside a worker that is idle */
    start_clients(&f, busy, 1, (client){.text = "sleep 5", .stop = &stop});
    wait_for_threads(f.pools, "w", 1);
    atomic_store(&stop, true);
    CHECK_EQ(join_clients(busy, 1).n_wrong, 0);
    wait_for_threads(f.pools, "w", 2);

    gf__free(model);
    gf_head_free(head);
    gf_trunk_free(trunk);
    end(&f);
}

TEST(pool__serves_a_thousand_versions_in_little_memory)
{
    gf__pools_options options = options_of("");
    options.max_head_bytes = 20000; /* twenty of them */
    fixture f = set_up(&options);
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "v%d", i);
        add(&f, name, 0, 1);
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "v%d", i * 7 % 1000);
        CHECK_EQ(ask(f.pools, name, "4", 0, &check_err), GF_OK);
    }
    const seen s = look(&f);
    CHECK(s.n_heads <= 21 && s.n_heads >= 15 && s.head_bytes <= 21000);
    end(&f);
}

TEST(pool__removes_a_version_under_load)
{
    fixture f = set_up(NULL);
    client clients[4], others[4];
    atomic_bool stop = false;
    gf__served *kept = NULL;
    gf__predictions *p = NULL;
    const gf__instance instance = {.kind = GF__RUN_PICTURE, .bytes = "1", .n_bytes = 1};
    add(&f, "v", 0, 0);
    add(&f, "w", 0, 0);
    kept = gf__pools_find(f.pools, "w");
    start_clients(&f, clients, 4, (client){.stop = &stop});
    start_clients(&f, others, 4, (client){.name = "w", .text = "sleep 5", .n_requests = 10});
    CHECK_EQ(join_clients(others, 4).n_ok, 40);
    CHECK_OK(gf__pools_remove(f.pools, "w", &check_err));
    assert_null(gf__pools_find(f.pools, "w"));
    const gf__prediction_request late = {.version = kept, .instances = &instance, .n_instances = 1};
    CHECK_FAILS(GF_ENOTFOUND, "was deleted", gf__pools_predict(f.pools, &late, &p, &check_err));
    gf__served_unref(kept);
    CHECK_EQ(look(&f).n_heads <= 2, true);
    atomic_store(&stop, true);
    const client sum = join_clients(clients, 4);
    CHECK_EQ(sum.n_wrong + sum.n_unavailable, 0);
    CHECK_FAILS(GF_ENOTFOUND, "w is not", gf__pools_remove(f.pools, "w", &check_err));
    end(&f);
}

/* A request may be long in being read: its version, and the pool of it, may be gone by then. */
TEST(pool__tells_a_late_request_that_its_version_and_pool_are_gone)
{
    fixture f = set_up(NULL);
    gf__predictions *p = NULL;
    gf__json *json = NULL;
    size_t n_pools = 1;
    const gf__instance instance = {.kind = GF__RUN_PICTURE, .bytes = "1", .n_bytes = 1};
    add(&f, "v", 0, 0);
    gf__served *kept = gf__pools_find(f.pools, "v");
    CHECK_OK(gf__pools_remove(f.pools, "v", &check_err));
    for (const int64_t wait_end = gf__clock_ms() + 120000; n_pools > 0; rest()) {
        CHECK(gf__clock_ms() < wait_end);
        CHECK_OK(gf__pools_describe(f.pools, &json, &check_err));
        n_pools = gf__json_n_items(gf__json_find(json, "pools"));
        gf__json_free(json);
    }
    const gf__prediction_request late = {.version = kept, .instances = &instance, .n_instances = 1};
    CHECK_FAILS(GF_ENOTFOUND, "was deleted", gf__pools_predict(f.pools, &late, &p, &check_err));
    gf__served_unref(kept);
    end(&f);
}

TEST(pool__drains)
{
    fixture f = set_up(NULL);
    client clients[8];
    seen s;
    add(&f, "v", 1, 0);
    start_clients(&f, clients, 8, (client){.text = "sleep 30", .n_requests = 1});
    WAIT_UNTIL(&f, s, s.n_busy + s.waiting > 0);
    gf__pools_drain(f.pools, 120000);
    CHECK_EQ(ask(f.pools, "v", "1", 0, &check_err), GF_EUNAVAILABLE);
    const client sum = join_clients(clients, 8);
    CHECK_EQ(sum.n_ok + sum.n_unavailable, 8); /* some may have come too late */
    CHECK(sum.n_ok > 0);
    CHECK_EQ(look(&f).n_nodes, 0);
    end(&f);
}

TEST(pool__does_not_wait_for_ever_when_it_drains)
{
    fixture f = set_up(NULL);
    client clients[4];
    seen s;
    add(&f, "v", 0, 1);
    start_clients(&f, clients, 4, (client){.text = "hang", .n_requests = 1});
    WAIT_UNTIL(&f, s, s.n_busy > 0);
    gf__pools_drain(f.pools, 50);
    CHECK_EQ(join_clients(clients, 4).n_unavailable, 4);
    end(&f);
}

TESTS_MAIN(UNIT(pool__starts_from_nothing_and_goes_back_to_nothing),
           UNIT(pool__keeps_its_least_number_of_workers),
           UNIT(pool__refuses_at_once_what_does_not_fit_its_queue),
           UNIT(pool__loses_no_answer_when_workers_are_killed),
           UNIT(pool__waits_longer_and_longer_for_workers_that_end_before_they_answer),
           UNIT(pool__fails_the_picture_that_two_workers_died_of_and_no_other),
           UNIT(pool__counts_what_was_answered_what_failed_and_what_was_refused),
           UNIT(pool__kills_a_worker_that_hangs), UNIT(pool__keeps_deadlines),
           UNIT(pool__takes_turns_between_requests), UNIT(pool__checks_before_it_serves),
           UNIT(pool__says_why_no_worker_can_be_started),
           UNIT(pool__gives_a_new_cut_without_a_pause),
           UNIT(pool__gives_threads_to_the_workers_that_have_something_to_do),
           UNIT(pool__serves_a_thousand_versions_in_little_memory),
           UNIT(pool__removes_a_version_under_load),
           UNIT(pool__tells_a_late_request_that_its_version_and_pool_are_gone), UNIT(pool__drains),
           UNIT(pool__does_not_wait_for_ever_when_it_drains))
