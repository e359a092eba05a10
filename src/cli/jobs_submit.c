/* cli/jobs_submit.c: graft jobs submit training and prediction, with gcloud's flags: a Job document is
 * made, what it needs is put into a bucket, and the server is given it. */
#include <ctype.h>
#include <string.h>

#include "cli/jobs.h"

typedef struct submit_settings {
    gf__remote_settings remote;
    const char *region, *runtime_version, *config;
    gf__cli_list labels;
    bool streams_logs, allows_multiline;
    /* training */
    const char *package_path, *module_name, *staging_bucket, *scale_tier, *master_type, *job_dir,
        *python_version, *max_running_time;
    gf__cli_list packages;
    int priority;
    /* prediction */
    const char *model, *version, *model_dir, *data_format, *output_path;
    gf__cli_list input_paths;
    int batch_size, max_worker_count;
} submit_settings;

#define SHARED_OPTIONS                                                                         \
    GF__TEXT("--config", "F", NULL, submit_settings, config,                                   \
             "A Job document with what has no option here (hyperparameters ...); options win " \
             "over it. YAML as gcloud has it, or JSON."),                                      \
        GF__LIST("--labels", "K=V,K=V", NULL, submit_settings, labels,                         \
                 "Labels to find it by. May be given several times."),                         \
        GF__TEXT("--region", "REGION", "local", submit_settings, region,                       \
                 "Kept with the job, as Cloud ML Engine did; decides nothing else."),          \
        GF__TEXT("--runtime-version", "V", NULL, submit_settings, runtime_version,             \
                 "Kept with the job as well."),                                                \
        GF__FLAG("--stream-logs", submit_settings, streams_logs,                               \
                 "Show the job's log until it ends, as graft jobs stream-logs does."),         \
        GF__FLAG("--allow-multiline-logs", submit_settings, allows_multiline,                  \
                 "With --stream-logs: a message of several lines is one record."),             \
        GF__REMOTE_OPTIONS(submit_settings), GF__FORMAT_OPTION(submit_settings)

static const gf__option training_options[] = {
    GF__TEXT("--package-path", "DIR", NULL, submit_settings, package_path,
             "The folder of the Python package to run: it is made into a source distribution, with "
             "the setup.py beside it if there is one, and put into the staging bucket."),
    GF__TEXT(
        "--module-name", "MODULE", NULL, submit_settings, module_name,
        "What to run: python3 -m MODULE; or graft.train, graft.features, which need no package and "
        "take the arguments of graft train, graft features."),
    GF__LIST("--packages", "F,F", NULL, submit_settings, packages,
             "Further packages (.tar.gz, .whl), of this machine or gs://."),
    GF__TEXT("--staging-bucket", "gs://B", "--job-dir", submit_settings, staging_bucket,
             "Where packages are put. A folder of a bucket will do."),
    GF__TEXT("--job-dir", "gs://B/P", NULL, submit_settings, job_dir,
             "Where the program leaves its results; it is told with --job-dir."),
    GF__TEXT("--scale-tier", "TIER", "basic", submit_settings, scale_tier,
             "basic, standard-1, premium-1, basic-gpu, custom: how many CPUs and how much memory "
             "(docs/jobs.md)."),
    GF__TEXT("--master-machine-type", "TYPE", NULL, submit_settings, master_type,
             "With --scale-tier custom: standard, large_model, complex_model_s, _m, _l ..."),
    GF__TEXT("--python-version", "V", NULL, submit_settings, python_version, "Kept with the job."),
    GF__TEXT("--max-running-time", "TIME", "7d", submit_settings, max_running_time,
             "How long it may run: 90s, 15m, 2h, 1d; seconds without a letter."),
    GF__INT("--priority", "N", "0", submit_settings, priority, 0, 1000,
            "Jobs of a higher one are begun first."),
    SHARED_OPTIONS,
};

static const gf__option prediction_options[] = {
    GF__TEXT("--model", "M", NULL, submit_settings, model, "The model to predict with."),
    GF__TEXT("--version", "V", "the default", submit_settings, version, "The model's version."),
    GF__TEXT("--model-dir", "URI", NULL, submit_settings, model_dir,
             "Instead of a model: a model file, or the folder of one, in a bucket."),
    GF__TEXT("--data-format", "json|text|csv|tf-record|tf-record-gzip", "json", submit_settings,
             data_format, "What the inputs are; pictures and .npz files are known by themselves."),
    GF__LIST("--input-paths", "P,P", NULL, submit_settings, input_paths,
             "What to predict for: files and folders of buckets; * stands for any characters."),
    GF__TEXT("--output-path", "gs://B/P", NULL, submit_settings, output_path,
             "The folder that the predictions go into."),
    GF__INT("--batch-size", "N", "64", submit_settings, batch_size, 1, 1e6,
            "Instances that are worked on together."),
    GF__INT("--max-worker-count", "N", "10", submit_settings, max_worker_count, 1, 1e6,
            "Processes that share the work, at most."),
    SHARED_OPTIONS,
};

static void preset(void *settings)
{
    submit_settings *s = settings;
    s->priority = -1;
}

/* ---- the document ---------------------------------------------------------------------------- */

/* "standard-1" is STANDARD_1 in the API. New. */
static char *enum_of(const char *text)
{
    char *name = gf__strdup(text);
    for (char *c = name; c != NULL && *c != '\0'; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    return name;
}

static void set_enum(gf__json *object, const char *key, const char *text)
{
    char *name = enum_of(text);
    gf__json_set(object, key, name != NULL ? gf__json_new_string(name) : NULL);
    gf__free(name);
}

static void set_text(gf__json *object, const char *key, const char *text)
{
    if (text != NULL)
        gf__json_set_string(object, key, text);
}

/* int64: a string in Google's JSON. */
static void set_int64(gf__json *object, const char *key, int number)
{
    char text[16];
    if (number <= 0)
        return;
    (void)snprintf(text, sizeof text, "%d", number);
    gf__json_set_string(object, key, text);
}

/* "2h" in seconds, as the API has a time. */
static gf_status set_running_time(gf__json *scheduling, const char *text, gf_error *err)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    const size_t n_digits = strspn(text, "0123456789");
    int64_t number = 0;
    for (size_t i = 0; i < n_digits && number < INT32_MAX; i++)
        number = number * 10 + (text[i] - '0');
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const char unit[2] = {units[i].letter, '\0'};
        if (n_digits == 0 || number == 0 || number >= INT32_MAX ||
            strcmp(text + n_digits, unit) != 0)
            continue;
        char *seconds = gf__asprintf("%llds", (long long)(number * units[i].seconds));
        gf__json_set(scheduling, "maxRunningTime",
                     seconds != NULL ? gf__json_new_string(seconds) : NULL);
        gf__free(seconds);
        return GF_OK;
    }
    return gf_error_set(err, GF_EINVAL,
                        "--max-running-time %.40s: expected a time like 90s, 15m, 2h, 1d", text);
}

/* The Job that options are set in: what the config has. input: a copy of its member of that name, to
 * be put back when it is whole. */
static gf_status begin_job(const gf__cli *cli, const submit_settings *s, const char *member,
                           gf__json **job, gf__json **input, gf_error *err)
{
    gf_status st = GF_OK;
    *job = *input = NULL;
    if (s->config != NULL)
        st = gf__job_config_read(s->config, job, err);
    else
        *job = gf__json_object();
    if (st != GF_OK)
        return st;
    const gf__json *given = gf__json_find(*job, member);
    if (given != NULL && !gf__json_is_object(given) && !gf__json_is_null(given))
        return gf_error_set(err, GF_EINVAL, "--config %s: %s is not an object", s->config, member);
    *input = gf__json_is_object(given) ? gf__json_copy(given) : gf__json_object();
    gf__json_set_string(*job, "jobId", cli->words[0]);
    set_text(*input, "region",
             s->region != NULL                         ? s->region
             : gf__json_find(*input, "region") == NULL ? "local"
                                                       : NULL);
    set_text(*input, "runtimeVersion", s->runtime_version);
    if (s->labels.n == 0)
        return GF_OK;
    const gf__json *before = gf__json_find(*job, "labels");
    gf__json *labels = gf__json_is_object(before) ? gf__json_copy(before) : gf__json_object();
    st = gf__labels_parse(&s->labels, labels, err);
    gf__json_set(*job, "labels", labels);
    return st;
}

/* ---- sending --------------------------------------------------------------------------------- */

static gf_status print_submitted(gf__cli *cli, gf__json *job, gf_error *err)
{
    const char *id = gf__json_string(gf__json_find(job, "jobId"), "");
    if (cli->is_json)
        return gf__cli_print_json(job, err);
    gf__cli_note(cli,
                 "job %s was submitted; graft jobs describe %s shows it, graft jobs stream-logs %s "
                 "its log",
                 id, id, id);
    printf("jobId: %s\nstate: %s\n", id, gf__json_string(gf__json_find(job, "state"), ""));
    gf__json_free(job);
    return GF_OK;
}

/* Ends job. */
static gf_status create_job(gf__remote *remote, gf__json *job, gf__json **created, gf_error *err)
{
    char *path = gf__job_path(remote, NULL, NULL);
    gf_status st = gf__json_status(job, err);
    if (st == GF_OK)
        st = gf__remote_call(remote, "POST", path, job, created, err);
    gf__free(path);
    gf__json_free(job);
    return st;
}

/* What is to be seen of it. Ends created. */
static gf_status show_created(gf__cli *cli, gf__remote *remote, const submit_settings *s,
                              gf__json *created, gf_error *err)
{
    gf__json *end = NULL;
    if (!s->streams_logs)
        return print_submitted(cli, created, err);
    gf__cli_note(cli, "job %s was submitted", cli->words[0]);
    gf__json_free(created);
    gf_status st = gf__job_follow(cli, remote, cli->words[0], s->allows_multiline, &end, err);
    if (st == GF_OK)
        st = gf__job_judge(cli, end, err);
    gf__json_free(end);
    return st;
}

/* Words behind "--" are the program's. */
static gf_status check_words(const gf__cli *cli, bool takes_arguments, gf_error *err)
{
    if (cli->n_own_words == 0)
        return gf_error_set(err, GF_EINVAL, "expected JOB; see graft %s --help", cli->command);
    if (cli->n_own_words > 1)
        return gf_error_set(err, GF_EINVAL, "%s is one argument too many; expected JOB%s",
                            cli->words[1],
                            takes_arguments ? "; the program's own come behind --" : "");
    if (!takes_arguments && cli->n_words > 1)
        return gf_error_set(err, GF_EINVAL, "%s is one argument too many; expected JOB",
                            cli->words[1]);
    return GF_OK;
}

/* ---- training -------------------------------------------------------------------------------- */

static gf_status set_training(const gf__cli *cli, const submit_settings *s, gf__json *input,
                              gf_error *err)
{
    const gf__json *given = gf__json_find(input, "scheduling");
    gf__json *scheduling = gf__json_is_object(given) ? gf__json_copy(given) : gf__json_object();
    gf_status st = GF_OK;
    set_text(input, "pythonModule", s->module_name);
    if (s->scale_tier != NULL)
        set_enum(input, "scaleTier", s->scale_tier);
    else if (gf__json_find(input, "scaleTier") == NULL)
        gf__json_set_string(input, "scaleTier", "BASIC");
    set_text(input, "masterType", s->master_type);
    set_text(input, "jobDir", s->job_dir);
    set_text(input, "pythonVersion", s->python_version);
    if (s->priority >= 0)
        gf__json_set_int(scheduling, "priority", s->priority);
    if (s->max_running_time != NULL)
        st = set_running_time(scheduling, s->max_running_time, err);
    if (gf__json_n_items(scheduling) > 0)
        gf__json_set(input, "scheduling", scheduling);
    else
        gf__json_free(scheduling);
    if (cli->n_words == cli->n_own_words)
        return st;
    gf__json *args = gf__json_array();
    for (size_t i = cli->n_own_words; i < cli->n_words; i++)
        gf__json_append(args, gf__json_new_string(cli->words[i]));
    gf__json_set(input, "args", args);
    return st;
}

/* graft's own programs: they need no package. */
static bool is_own_module(const char *module)
{
    return strcmp(module, "graft.train") == 0 || strcmp(module, "graft.features") == 0;
}

static gf_status check_training(const submit_settings *s, const gf__json *input, gf_error *err)
{
    const char *module = gf__json_string(gf__json_find(input, "pythonModule"), NULL);
    if (module == NULL)
        return gf_error_set(err, GF_EINVAL,
                            "what is to run? expected --module-name MODULE, like trainer.task");
    if (s->package_path == NULL && s->packages.n == 0 && !is_own_module(module) &&
        gf__json_n_items(gf__json_find(input, "packageUris")) == 0)
        return gf_error_set(err, GF_EINVAL,
                            "--module-name %.100s: expected --package-path or --packages, which it "
                            "is in; only graft.train and graft.features need none",
                            module);
    return GF_OK;
}

/* The server said no, for certain. A connection that broke can have been one behind which the job came
 * to be, and a job of this name that came between may have the same packages. */
static bool is_refusal(gf_status st)
{
    return st == GF_EINVAL || st == GF_EPRECONDITION || st == GF_EDENIED || st == GF_EAUTH ||
           st == GF_ENOTFOUND || st == GF_ELIMIT || st == GF_EUNSUPPORTED;
}

/* Ends job, whose trainingInput input becomes. Packages of a job that there is not are taken away. */
static gf_status submit_training(gf__cli *cli, const submit_settings *s, gf__json *job,
                                 gf__json *input, gf_error *err)
{
    const gf__packages packages = {.package_path = s->package_path,
                                   .files = &s->packages,
                                   .staging_bucket = s->staging_bucket,
                                   .job_dir = s->job_dir};
    gf__remote remote = {0};
    gf__json *own = NULL, *created = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        st = gf__packages_stage(cli, &remote, &packages, input, &own, err);
    const bool is_staged = st == GF_OK;
    gf__json_set(job, "trainingInput", input);
    if (is_staged)
        st = create_job(&remote, job, &created, err);
    else
        gf__json_free(job);
    if (st != GF_OK && (!is_staged || is_refusal(st)))
        gf__packages_unstage(&remote, own);
    if (st == GF_OK)
        st = show_created(cli, &remote, s, created, err);
    gf__json_free(own);
    gf__remote_close(&remote);
    return st;
}

static gf_status run_training(gf__cli *cli, const void *settings, gf_error *err)
{
    const submit_settings *s = settings;
    gf__json *job = NULL, *input = NULL;
    gf_status st = check_words(cli, true, err);
    if (st == GF_OK)
        st = begin_job(cli, s, "trainingInput", &job, &input, err);
    if (st == GF_OK)
        st = set_training(cli, s, input, err);
    if (st == GF_OK)
        st = check_training(s, input, err);
    if (st == GF_OK)
        return submit_training(cli, s, job, input, err);
    gf__json_free(input);
    gf__json_free(job);
    return st;
}

const gf__command gf__command_jobs_submit_training = {
    .name = "jobs submit training",
    .words = "JOB [-- ARG...]",
    .n_words_low = 1,
    .n_words_high = SIZE_MAX,
    .summary = "Run a training program on a server.",
    .text =
        "JOB is its name: letters, digits and _, used once. What comes behind -- are the program's "
        "own arguments.\n\n"
        "With --package-path the folder becomes NAME-0.0.0.tar.gz, the same bytes whenever and "
        "wherever it is made, without __pycache__ and *.pyc, and is put at "
        "STAGING/JOB/HASH/NAME-0.0.0.tar.gz. The server installs it and what its setup.py asks "
        "for, "
        "and runs MODULE. graft.train and graft.features need no package.",
    .examples =
        "graft jobs submit training flowers_1 --module-name graft.train --job-dir "
        "gs://mine/flowers -- gs://mine/pictures --epochs 20\n"
        "graft jobs submit training iris_1 --package-path trainer --module-name trainer.task "
        "--staging-bucket gs://mine --stream-logs -- --steps 100",
    .options = training_options,
    .n_options = GF__N_OPTIONS(training_options),
    .settings_size = sizeof(submit_settings),
    .preset = preset,
    .run = run_training,
};

/* ---- prediction ------------------------------------------------------------------------------ */

static gf_status append_item(void *user, const char *item, gf_error *err)
{
    gf__json_append(user, gf__json_new_string(item));
    return GF_OK;
}

static char *model_name(const gf__remote *remote, const submit_settings *s)
{
    const bool is_full = strncmp(s->model, "projects/", 9) == 0;
    const char *version = s->version != NULL ? s->version : "";
    const char *collection = s->version != NULL ? "/versions/" : "";
    if (is_full)
        return gf__asprintf("%s%s%s", s->model, collection, version);
    return gf__asprintf("projects/%s/models/%s%s%s", remote->project, s->model, collection,
                        version);
}

/* One of the three that say which model; what the config says goes where an option does. */
static gf_status set_model(const gf__remote *remote, const submit_settings *s, gf__json *input,
                           gf_error *err)
{
    if (s->model != NULL && s->model_dir != NULL)
        return gf_error_set(err, GF_EINVAL, "--model and --model-dir: only one of them");
    if (s->version != NULL && s->model == NULL)
        return gf_error_set(err, GF_EINVAL, "--version %.100s: of which --model?", s->version);
    if (s->model_dir != NULL) {
        gf__json_set_string(input, "uri", s->model_dir);
    } else if (s->model != NULL) {
        char *name = model_name(remote, s);
        gf__json_set(input, s->version != NULL ? "versionName" : "modelName",
                     name != NULL ? gf__json_new_string(name) : NULL);
        gf__free(name);
    } else if (gf__json_find(input, "uri") == NULL && gf__json_find(input, "modelName") == NULL &&
               gf__json_find(input, "versionName") == NULL) {
        return gf_error_set(err, GF_EINVAL, "which model? expected --model M or --model-dir URI");
    }
    return GF_OK;
}

static gf_status set_prediction(const submit_settings *s, gf__json *input, gf_error *err)
{
    gf_status st = GF_OK;
    if (s->data_format != NULL)
        set_enum(input, "dataFormat", s->data_format);
    else if (gf__json_find(input, "dataFormat") == NULL)
        gf__json_set_string(input, "dataFormat", "JSON");
    if (s->input_paths.n > 0) {
        gf__json *paths = gf__json_array();
        st = gf__each_item(&s->input_paths, append_item, paths, err);
        gf__json_set(input, "inputPaths", paths);
    }
    set_text(input, "outputPath", s->output_path);
    set_int64(input, "batchSize", s->batch_size);
    set_int64(input, "maxWorkerCount", s->max_worker_count);
    if (st == GF_OK && gf__json_n_items(gf__json_find(input, "inputPaths")) == 0)
        st = gf_error_set(err, GF_EINVAL, "of what? expected --input-paths gs://BUCKET/PATH");
    if (st == GF_OK && gf__json_find(input, "outputPath") == NULL)
        st = gf_error_set(err, GF_EINVAL, "where to? expected --output-path gs://BUCKET/PATH");
    return st;
}

static gf_status run_prediction(gf__cli *cli, const void *settings, gf_error *err)
{
    const submit_settings *s = settings;
    gf__remote remote = {0};
    gf__json *job = NULL, *input = NULL;
    gf_status st = check_words(cli, false, err);
    if (st == GF_OK)
        st = begin_job(cli, s, "predictionInput", &job, &input, err);
    if (st == GF_OK)
        st = set_prediction(s, input, err);
    if (st == GF_OK)
        st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        st = set_model(&remote, s, input, err);
    if (st == GF_OK) {
        gf__json *created = NULL;
        gf__json_set(job, "predictionInput", input);
        st = create_job(&remote, job, &created, err);
        if (st == GF_OK)
            st = show_created(cli, &remote, s, created, err);
        job = input = NULL;
    }
    gf__json_free(input);
    gf__json_free(job);
    gf__remote_close(&remote);
    return st;
}

const gf__command gf__command_jobs_submit_prediction = {
    .name = "jobs submit prediction",
    .words = "JOB",
    .n_words_low = 1,
    .n_words_high = SIZE_MAX,
    .summary = "Predict for many inputs on a server.",
    .text = "JOB is its name: letters, digits and _, used once. The predictions are JSON lines in "
            "the output folder, what could not be predicted is in files of its own there.",
    .examples = "graft jobs submit prediction many_1 --model flowers --input-paths gs://mine/new/ "
                "--output-path gs://mine/answers --stream-logs",
    .options = prediction_options,
    .n_options = GF__N_OPTIONS(prediction_options),
    .settings_size = sizeof(submit_settings),
    .preset = preset,
    .run = run_prediction,
};
