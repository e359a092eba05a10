/* cli/cmd_jobs.c: graft jobs list, describe, cancel, stream-logs: jobs of a server, as gcloud has
 * them. Submitting is jobs_submit.c's. */
#include "cli/jobs.h"
#include "cli/remote_items.h"

typedef struct jobs_settings {
    gf__remote_settings remote;
    gf__items_choice choice;
    bool allows_multiline;
} jobs_settings;

static const gf__option list_options[] = {
    GF__FILTER_OPTION(jobs_settings, choice.filter),
    GF__INT("--limit", "N", "all", jobs_settings, choice.limit, 1, 1e9, "No more than so many."),
    GF__INT("--page-size", "N", "100", jobs_settings, choice.page_size, 1, 100,
            "How many to ask the server for at a time."),
    GF__REMOTE_OPTIONS(jobs_settings),
    GF__FORMAT_OPTION(jobs_settings),
};

static const gf__option one_options[] = {
    GF__REMOTE_OPTIONS(jobs_settings),
    GF__FORMAT_OPTION(jobs_settings),
};

static const gf__option stream_options[] = {
    GF__FLAG("--allow-multiline-logs", jobs_settings, allows_multiline,
             "A message of several lines is one record; otherwise each line is."),
    GF__REMOTE_OPTIONS(jobs_settings),
};

static void add_row(gf__table *table, const gf__json *job)
{
    const char *const cells[] = {
        gf__json_string(gf__json_find(job, "jobId"), ""),
        gf__json_string(gf__json_find(job, "state"), ""),
        gf__json_string(gf__json_find(job, "createTime"), ""),
    };
    gf__table_row(table, cells);
}

static const char *const headings[] = {"JOB_ID", "STATUS", "CREATED"};
static const gf__items jobs = {"jobs", gf__job_path, headings, 3, add_row};

static gf_status run_list(gf__cli *cli, const void *settings, gf_error *err)
{
    const jobs_settings *s = settings;
    return gf__items_list(cli, &s->remote, &jobs, &s->choice, err);
}

static gf_status run_describe(gf__cli *cli, const void *settings, gf_error *err)
{
    const jobs_settings *s = settings;
    return gf__item_describe(cli, &s->remote, &jobs, err);
}

static gf_status run_cancel(gf__cli *cli, const void *settings, gf_error *err)
{
    const jobs_settings *s = settings;
    return gf__item_cancel(cli, &s->remote, &jobs, err);
}

static gf_status run_stream_logs(gf__cli *cli, const void *settings, gf_error *err)
{
    const jobs_settings *s = settings;
    gf__remote remote;
    gf__json *job = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        st = gf__job_follow(cli, &remote, cli->words[0], s->allows_multiline, &job, err);
    if (st == GF_OK)
        st = gf__job_judge(cli, job, err);
    gf__json_free(job);
    gf__remote_close(&remote);
    return st;
}

const gf__command gf__command_jobs_list = {
    .name = "jobs list",
    .words = "",
    .summary = "List the jobs of a project, newest first.",
    .text = "Training and batch prediction jobs, whatever became of them: jobs are never deleted.",
    .examples = "graft jobs list --limit 5\n"
                "graft jobs list --filter 'jobId:rnn* AND state:FAILED'",
    .options = list_options,
    .n_options = GF__N_OPTIONS(list_options),
    .settings_size = sizeof(jobs_settings),
    .run = run_list,
};

const gf__command gf__command_jobs_describe = {
    .name = "jobs describe",
    .words = "JOB",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Show a job: its state, what it was given and what came of it.",
    .text = "Prints the Job document of the API.",
    .examples = "graft jobs describe flowers_1\n"
                "graft jobs describe flowers_1 --json",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(jobs_settings),
    .run = run_describe,
};

const gf__command gf__command_jobs_cancel = {
    .name = "jobs cancel",
    .words = "JOB",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Cancel a job.",
    .text =
        "One that waits ends at once. One that runs is asked to end (SIGTERM), and made to if it "
        "does not within the server's --job-grace.",
    .examples = "graft jobs cancel flowers_1",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(jobs_settings),
    .run = run_cancel,
};

const gf__command gf__command_jobs_stream_logs = {
    .name = "jobs stream-logs",
    .words = "JOB",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Show a job's log, and go on until the job ends.",
    .text =
        "Prints what the job's programs say, line by line with the time and where it was said "
        "(stdout, stderr, or graft itself), from the beginning; with --json the lines of the log "
        "as "
        "they are. Where the connection breaks, as when the server is started again, it goes on "
        "where "
        "it was. Exit status 0 for a job that SUCCEEDED, 1 for one that FAILED or was CANCELLED. "
        "Ctrl-C ends the showing and not the job.",
    .examples = "graft jobs stream-logs flowers_1",
    .options = stream_options,
    .n_options = GF__N_OPTIONS(stream_options),
    .settings_size = sizeof(jobs_settings),
    .run = run_stream_logs,
};
