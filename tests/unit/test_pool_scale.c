/* test_pool_scale.c: when a pool gets a worker more or one less, and what it says about it. */
#include "check.h"
#include "pool/pool_priv.h"

#define READY            \
    {                    \
        .is_ready = true \
    }
#define BUSY                              \
    {                                     \
        .is_ready = true, .is_busy = true \
    }
#define STARTING          \
    {                     \
        .is_ready = false \
    }
#define IDLE(ms)                          \
    {                                     \
        .is_ready = true, .idle_ms = (ms) \
    }
#define OLD_BUSY                                               \
    {                                                          \
        .is_ready = true, .is_busy = true, .is_outdated = true \
    }
#define OLD_READY                             \
    {                                         \
        .is_ready = true, .is_outdated = true \
    }

typedef struct row {
    const char *name;
    gf__scale_node nodes[4];
    gf__scale_view
        view; /* nodes are put in; 0 of n_versions, max_nodes, idle_timeout_ms: 1, 4, 60 s */
    gf__scale_action action;
    size_t node;
    int64_t look_ms;
    const char *reason;
} row;

static const row rows[] = {
    {"nothing to do, nothing there", {{0}}, {0}, GF__SCALE_KEEP, 0, -1, ""},
    {"first request", {{0}}, {.n_waiting = 1}, GF__SCALE_START, 0, -1, "1 waiting, no worker"},
    {"a start that failed", {{0}}, {.n_waiting = 1, .retry_ms = 70}, GF__SCALE_KEEP, 0, 70, ""},
    {"one is coming", {STARTING}, {.n_nodes = 1, .n_waiting = 9}, GF__SCALE_KEEP, 0, 100, ""},
    {"one is coming, others wait for long",
     {STARTING},
     {.n_nodes = 1, .n_waiting = 9, .waiting_ms = 5000},
     GF__SCALE_KEEP,
     0,
     -1,
     ""},
    {"backlog is young",
     {BUSY},
     {.n_nodes = 1, .n_waiting = 5, .waiting_ms = 40},
     GF__SCALE_KEEP,
     0,
     60,
     ""},
    {"backlog stays",
     {BUSY},
     {.n_nodes = 1, .n_waiting = 5, .waiting_ms = 100},
     GF__SCALE_START,
     0,
     -1,
     "5 waiting for 100 ms, all 1 busy"},
    {"backlog at the limit",
     {BUSY, BUSY},
     {.n_nodes = 2, .n_waiting = 5, .waiting_ms = 900, .max_nodes = 2},
     GF__SCALE_KEEP,
     0,
     -1,
     ""},
    {"least is kept from the start",
     {{0}},
     {.min_nodes = 2},
     GF__SCALE_START,
     0,
     -1,
     "0 of at least 2"},
    {"least is never more than most",
     {IDLE(99999)},
     {.n_nodes = 1, .min_nodes = 3, .max_nodes = 1},
     GF__SCALE_KEEP,
     0,
     -1,
     ""},
    {"idle for a while", {IDLE(20000)}, {.n_nodes = 1}, GF__SCALE_KEEP, 0, 40000, ""},
    {"idle for too long",
     {IDLE(60000)},
     {.n_nodes = 1},
     GF__SCALE_STOP,
     0,
     -1,
     "idle for 60000 ms"},
    {"the idlest goes",
     {IDLE(61000), IDLE(70000), BUSY},
     {.n_nodes = 3, .min_nodes = 1},
     GF__SCALE_STOP,
     1,
     -1,
     "idle for 70000 ms"},
    {"the last of the least stays",
     {IDLE(70000)},
     {.n_nodes = 1, .min_nodes = 1},
     GF__SCALE_KEEP,
     0,
     -1,
     ""},
    {"busy is not idle", {BUSY}, {.n_nodes = 1}, GF__SCALE_KEEP, 0, -1, ""},
    {"too many since max nodes changed",
     {BUSY, IDLE(10), IDLE(5)},
     {.n_nodes = 3, .max_nodes = 2},
     GF__SCALE_STOP,
     1,
     -1,
     "3 of at most 2"},
    {"a new cut",
     {OLD_BUSY},
     {.n_nodes = 1, .max_nodes = 1},
     GF__SCALE_START,
     0,
     -1,
     "a version needs a cut that 1 worker does not have"},
    {"a new cut, replacement is coming",
     {OLD_BUSY, STARTING},
     {.n_nodes = 2, .max_nodes = 1},
     GF__SCALE_KEEP,
     0,
     -1,
     ""},
    {"a new cut, replacement is there",
     {OLD_BUSY, READY},
     {.n_nodes = 2, .max_nodes = 1},
     GF__SCALE_STOP,
     0,
     -1,
     "replaced"},
    {"of two to be replaced the idle one goes first",
     {OLD_BUSY, OLD_READY, READY},
     {.n_nodes = 3},
     GF__SCALE_STOP,
     1,
     -1,
     "replaced"},
    {"no version is left, but one may come",
     {IDLE(10)},
     {.n_nodes = 1, .n_versions = SIZE_MAX, .min_nodes = 1},
     GF__SCALE_KEEP,
     0,
     4990,
     ""},
    {"no version is left",
     {IDLE(5000)},
     {.n_nodes = 1, .n_versions = SIZE_MAX, .min_nodes = 1},
     GF__SCALE_STOP,
     0,
     -1,
     "no version is left"},
};

TEST(scale__decides_as_the_table_says)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gf__scale_view view = rows[i].view;
        view.nodes = rows[i].nodes;
        view.n_versions = view.n_versions == SIZE_MAX ? 0
                          : view.n_versions == 0      ? 1
                                                      : view.n_versions;
        view.max_nodes = view.max_nodes == 0 ? 4 : view.max_nodes;
        view.idle_timeout_ms = view.idle_timeout_ms == 0 ? 60000 : view.idle_timeout_ms;
        const gf__scale_decision got = gf__scale_decide(&view);
        if (got.action != rows[i].action || got.node != rows[i].node ||
            got.look_ms != rows[i].look_ms || strstr(got.reason, rows[i].reason) == NULL)
            fail_msg("%s: got action %d node %zu look %lld \"%s\"", rows[i].name, (int)got.action,
                     got.node, (long long)got.look_ms, got.reason);
    }
}

TEST(scale__waits_longer_after_each_failed_start)
{
    CHECK_EQ(gf__scale_backoff_ms(1), 0);
    for (size_t n = 2; n < 9; n++)
        CHECK(gf__scale_backoff_ms(n + 1) > gf__scale_backoff_ms(n));
    CHECK_EQ(gf__scale_backoff_ms(1000), 10000);
}

TESTS_MAIN(UNIT(scale__decides_as_the_table_says),
           UNIT(scale__waits_longer_after_each_failed_start))
