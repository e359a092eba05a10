/* service/train.c: the main job: data set and trunk in, trained model file and report out. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "service/service_priv.h"

gf_train_request gf_train_request_default(void)
{
    return (gf_train_request){.trunk = "inception_v3",
                              .layer = "avg_pool",
                              .hidden = 1024,
                              .val_fraction = 0.2,
                              .n_views = 4,
                              .precision = GF_PRECISION_AUTO,
                              .options = gf_train_options_default()};
}

/* Everything one run holds; released in one place. */
typedef struct train_job {
    const gf_train_request *request;
    const gf_train_watch *watch;
    gf_dataset *dataset, *test_dataset;
    gf_split *split;
    gf__train_network network; /* closed for a table of numbers */
    size_t chosen;
    gf__part train, test;
    float *means, *scales; /* of the columns of a table of numbers; NULL of pictures */
    gf_head *head;
    gf_train_result *result;
    char *checkpoint; /* OUTPUT.checkpoint; NULL without an output */
    char sha256[GF__SHA256_HEX];
} train_job;

static gf_status check_request(const gf_train_request *request, gf_error *err)
{
    if (request->dataset == NULL)
        return gf_error_set(err, GF_EINVAL, "no data set given");
    if (request->test_dataset == NULL && !(request->val_fraction > 0 && request->val_fraction < 1))
        return gf_error_set(err, GF_EINVAL, "--val %g: expected a fraction between 0 and 1",
                            request->val_fraction);
    if (request->is_resumed && request->output == NULL)
        return gf_error_set(err, GF_EINVAL, "--resume needs the -o of the run it goes on from");
    if (!(request->dropout >= 0 && request->dropout < 1))
        return gf_error_set(err, GF_EINVAL, "--dropout %g: expected a rate from 0 to below 1",
                            request->dropout);
    return gf_train_options_check(&request->options, err);
}

static const gf_observer *observer_of(const train_job *job)
{
    return job->watch != NULL ? &job->watch->observer : NULL;
}

/* Data sets, labels and the split. */
static gf_status open_data(train_job *job, gf_error *err)
{
    const gf_train_request *r = job->request;
    gf_status st = gf_dataset_open(r->dataset, NULL, observer_of(job), &job->dataset, err);
    if (st != GF_OK)
        return st;
    gf_train_result *result = job->result;
    st = gf__class_names_copy(job->dataset, &result->class_names, &result->n_classes, err);
    if (st != GF_OK)
        return st;
    if (result->n_classes < 2)
        return gf_error_set(err, GF_EINVAL, "%s: only one class (%s); a classifier needs two",
                            r->dataset, result->class_names[0]);
    if (r->test_dataset != NULL) {
        st = gf_dataset_open(r->test_dataset, NULL, observer_of(job), &job->test_dataset, err);
        if (st == GF_OK)
            st = gf__part_init(&job->train, job->dataset, NULL, 0, NULL, 0, err);
        if (st == GF_OK)
            st = gf__part_init(&job->test, job->test_dataset, NULL, 0,
                               (const char *const *)result->class_names, result->n_classes, err);
        return st;
    }
    const gf_split_options options = {.test_fraction = r->val_fraction,
                                      .seed = (uint32_t)r->options.seed,
                                      .is_stratified = r->is_stratified};
    st = gf_split_new(job->dataset, &options, &job->split, err);
    if (st == GF_OK)
        st = gf__part_init(&job->train, job->dataset, job->split->train, job->split->n_train, NULL,
                           0, err);
    if (st == GF_OK)
        st = gf__part_init(&job->test, job->dataset, job->split->test, job->split->n_test, NULL, 0,
                           err);
    return st;
}

/* A model or report written over the pictures it came from would be the last one. */
static gf_status check_outputs(const gf_train_request *r, gf_error *err)
{
    gf_status st = gf__check_spares(r->output, r->dataset, "data set", err);
    if (st == GF_OK)
        st = gf__check_spares(r->output, r->test_dataset, "test data set", err);
    if (st == GF_OK)
        st = gf__check_spares(r->report, r->dataset, "data set", err);
    if (st == GF_OK)
        st = gf__check_spares(r->report, r->test_dataset, "test data set", err);
    return st == GF_OK ? gf__check_spares(r->report, r->output, "model file", err) : st;
}

/* Finds out that a file cannot be written before the work is done and not after it. */
static gf_status check_writable(const char *path, gf_error *err)
{
    gf__writer *writer = NULL;
    if (path == NULL)
        return GF_OK;
    const gf_status st = gf__writer_open(path, &writer, err);
    gf__writer_abort(writer);
    return st;
}

static void note_features(train_job *job, double started_s)
{
    gf_train_result *result = job->result;
    result->n_train = job->train.n;
    result->n_test = job->test.n;
    result->n_skipped = job->train.n_skipped + job->test.n_skipped;
    result->features_s = gf__clock_s() - started_s;
}

static bool is_table(const train_job *job)
{
    return gf_dataset_n_columns(job->dataset) > 0;
}

/* A table's columns are its features. */
static gf_status make_number_features(train_job *job, gf_error *err)
{
    const gf_train_request *r = job->request;
    const double started_s = gf__clock_s();
    if (r->is_bundle || r->augment != 0)
        return gf_error_set(err, GF_EINVAL,
                            "%s: rows of numbers; --bundle and --augment are for pictures",
                            r->dataset);
    const gf_status st = gf__part_numbers_fit(&job->train, &job->test, &job->means, &job->scales,
                                              err);
    job->result->precision = GF_PRECISION_F32;
    note_features(job, started_s);
    return st;
}

static gf_status make_features(train_job *job, gf_error *err)
{
    const gf_train_request *r = job->request;
    const double started_s = gf__clock_s();
    if (is_table(job)) {
        gf__train_network_close(&job->network);
        return make_number_features(job, err);
    }
    if (job->test_dataset != NULL && gf_dataset_n_columns(job->test_dataset) > 0)
        return gf__dataset_wants_pictures(job->test_dataset, err);
    gf_status st = gf__train_network_wait(&job->network, err);
    if (st != GF_OK)
        return st;
    gf_extractor *extractor = job->network.extractor;
    job->result->probe_layers = job->network.probe_layers;
    st = gf__parts_extract(&job->train, &job->test, extractor, observer_of(job), err);
    if (st == GF_OK && r->augment != 0)
        st = gf__part_extract_views(&job->train, extractor, r->n_views, r->augment, r->options.seed,
                                    observer_of(job), err);
    job->result->precision = gf_extractor_precision(extractor);
    note_features(job, started_s);
    return st;
}

/* With "auto": the cut whose features separate the training part best; the earliest of equals,
 * because it runs fastest. */
static gf_status choose_cut(train_job *job, gf_error *err)
{
    gf_train_result *result = job->result;
    if (is_table(job))
        return GF_OK;
    if (job->network.n_outputs > 1) {
        result->probe_accuracy = gf__calloc(job->network.n_outputs, sizeof *result->probe_accuracy);
        if (result->probe_accuracy == NULL)
            return gf__error_nomem(err, "probes", job->network.n_outputs * sizeof(double));
        result->n_probes = job->network.n_outputs;
        gf_probe_options options = gf_probe_options_default();
        options.seed = job->request->options.seed;
        options.n_threads = gf__service_threads(&job->request->context);
        const gf_status st = gf__part_probe(&job->train, result->n_classes, &options,
                                            observer_of(job), result->probe_accuracy, err);
        if (st != GF_OK)
            return st;
    }
    for (size_t i = 1; i < result->n_probes; i++)
        if (result->probe_accuracy[i] > result->probe_accuracy[job->chosen])
            job->chosen = i;
    result->layer = gf__strdup(job->network.outputs[job->chosen].layer);
    return result->layer != NULL ? GF_OK : gf__error_nomem(err, "layer name", 0);
}

static size_t n_features(const train_job *job)
{
    return is_table(job) ? gf_dataset_n_columns(job->dataset)
                         : gf_extractor_output_size(job->network.extractor, job->chosen);
}

static gf_status make_head(train_job *job, gf_error *err)
{
    const gf_head_layer layers[2] = {
        {.units = job->request->hidden, .activation = GF_HEAD_RELU},
        {.units = job->result->n_classes,
         .activation = GF_HEAD_SOFTMAX,
         .dropout = job->request->dropout},
    };
    const size_t n_layers = job->request->hidden > 0 ? 2 : 1;
    return gf_head_new(n_features(job), layers + (2 - n_layers), n_layers, &job->head, err);
}

static gf_status fit(train_job *job, gf_error *err)
{
    const gf_train_request *r = job->request;
    const gf_fit_data train = gf__part_fit_data(&job->train, job->chosen);
    const gf_fit_data test = gf__part_fit_data(&job->test, job->chosen);
    const double started_s = gf__clock_s();
    gf_status st = make_head(job, err);
    if (st != GF_OK)
        return st;
    job->checkpoint = r->output != NULL ? gf__asprintf("%s.checkpoint", r->output) : NULL;
    /* The data's identity for --resume: the same pictures through another cut or precision are
     * other data. */
    char *data_id = is_table(job)
                        ? gf__asprintf("%s numbers", job->sha256)
                        : gf__asprintf("%s %s %s %s", job->sha256,
                                       gf_trunk_sha256(job->network.trunk), job->result->layer,
                                       gf_precision_name(job->result->precision));
    if (data_id == NULL || (r->output != NULL && job->checkpoint == NULL)) {
        st = gf__error_nomem(err, "names", 0);
        goto done;
    }
    if (r->is_resumed && !gf__is_file(job->checkpoint))
        gf__observe_log(observer_of(job), GF_LOG_INFO,
                        "there is no %s to go on from: starting with the first epoch",
                        job->checkpoint);
    gf_train_options options = r->options;
    options.n_threads = gf__service_threads(&r->context);
    const gf_fit_callbacks callbacks = {.epoch = job->watch != NULL ? job->watch->epoch : NULL,
                                        .user = job->watch != NULL ? job->watch->user : NULL,
                                        .checkpoint_path = job->checkpoint,
                                        .is_resumed = r->is_resumed,
                                        .is_kept = true,
                                        .data_id = data_id};
    st = gf_fit(job->head, &train, &test, &options, &callbacks, &job->result->history, err);
    job->result->fit_s = gf__clock_s() - started_s;
done:
    gf__free(data_id);
    return st;
}

static gf_status measure(train_job *job, gf_error *err)
{
    gf_train_result *result = job->result;
    size_t *order = NULL;
    gf_status st = gf__part_metrics(&job->test, job->chosen, job->head, &result->metrics, err);
    if (st == GF_OK)
        st = gf__part_mistakes(&job->test, result->metrics, &order, &result->n_mistakes, err);
    if (st == GF_OK)
        st = gf__mistake_lines(&job->test, result->metrics, order, result->n_mistakes,
                               (const char *const *)result->class_names, &result->mistakes, err);
    gf__free(order);
    return st;
}

static gf__train_facts facts_of(const train_job *job)
{
    return (gf__train_facts){.request = job->request,
                             .dataset = job->dataset,
                             .test_dataset = job->test_dataset,
                             .dataset_sha256 = job->sha256,
                             .trunk = job->network.trunk,
                             .layer = job->result->layer,
                             .precision = job->result->precision,
                             .train = &job->train,
                             .test = &job->test,
                             .head = job->head,
                             .result = job->result};
}

static gf_status save_model(const train_job *job, gf_error *err)
{
    gf__samples samples = {.n = 0};
    gf__json *record = NULL;
    const gf_recipe recipe = gf_recipe_of(job->network.trunk);
    const gf__train_facts facts = facts_of(job);
    gf_status st = gf__training_record(&facts, &record, err);
    if (st == GF_OK)
        st = gf__samples_new(&job->test, job->chosen, job->head, job->network.extractor, &recipe,
                             job->request->context.max_pixels, &samples, err);
    if (st == GF_OK) {
        const gf__model_content content = {
            .head = job->head,
            .class_names = (const char *const *)job->result->class_names,
            .trunk = job->network.trunk,
            .layer = job->result->layer,
            .pool = job->network.outputs[job->chosen].pool,
            .precision = job->result->precision,
            .recipe = recipe,
            .training = record,
            .samples = samples.at,
            .n_samples = samples.n,
            .tolerance = samples.tolerance,
            .is_bundle = job->request->is_bundle,
        };
        st = gf__model_save(job->request->output, &content, err);
    }
    gf__samples_clear(&samples);
    gf__json_free(record);
    return st;
}

static gf_status save_number_model(const train_job *job, gf_error *err)
{
    gf__samples samples = {.n = 0};
    gf__json *record = NULL;
    const char **names = NULL;
    const gf__train_facts facts = facts_of(job);
    gf_status st = gf__training_record(&facts, &record, err);
    if (st == GF_OK)
        st = gf__column_names_new(job->dataset, &names, err);
    if (st == GF_OK)
        st = gf__samples_of_numbers(&job->test, job->head, &samples, err);
    if (st == GF_OK) {
        const gf__model_content content = {
            .head = job->head,
            .class_names = (const char *const *)job->result->class_names,
            .column_names = names,
            .standardisation = {job->means, job->scales},
            .training = record,
            .samples = samples.at,
            .n_samples = samples.n,
            .tolerance = samples.tolerance,
        };
        st = gf__model_save(job->request->output, &content, err);
    }
    gf__samples_clear(&samples);
    gf__json_free(record);
    gf__free(names);
    return st;
}

/* A class whose pictures are all unreadable, or all held out, is one the head can never name. */
static gf_status warn_of_unseen_classes(const train_job *job, gf_error *err)
{
    const size_t n_classes = job->result->n_classes;
    size_t *counts = gf__calloc(n_classes, sizeof *counts);
    if (counts == NULL)
        return gf__error_nomem(err, "counts", n_classes * sizeof *counts);
    for (size_t i = 0; i < job->train.n; i++)
        counts[job->train.labels[i]]++;
    for (size_t k = 0; k < n_classes; k++)
        if (counts[k] == 0)
            gf__observe_log(observer_of(job), GF_LOG_WARNING,
                            "class %s: not one %s to learn from; the model will not know it",
                            job->result->class_names[k], is_table(job) ? "row" : "picture");
    gf__free(counts);
    return GF_OK;
}

static void tell_started(const train_job *job)
{
    if (job->watch != NULL && job->watch->started != NULL)
        job->watch->started(job->watch->user, job->train.n, job->test.n, job->result->n_classes,
                            is_table(job) ? SIZE_MAX : job->train.n_cached + job->test.n_cached,
                            n_features(job));
}

static gf_status run_job(train_job *job, gf_error *err)
{
    gf_status st = check_request(job->request, err);
    if (st == GF_OK)
        st = check_outputs(job->request, err);
    if (st == GF_OK)
        st = check_writable(job->request->output, err);
    if (st == GF_OK)
        st = check_writable(job->request->report, err);
    if (st != GF_OK)
        return st;
    gf__train_network_start(&job->network, job->request);
    st = open_data(job, err);
    if (st == GF_OK)
        st = make_features(job, err);
    if (st == GF_OK)
        st = gf_dataset_hash(job->dataset, observer_of(job), job->sha256, err);
    if (st == GF_OK)
        st = warn_of_unseen_classes(job, err);
    if (st == GF_OK)
        st = choose_cut(job, err);
    if (st != GF_OK)
        return st;
    tell_started(job);
    st = fit(job, err);
    if (st == GF_OK)
        st = measure(job, err);
    if (st == GF_OK && job->request->output != NULL)
        st = is_table(job) ? save_number_model(job, err) : save_model(job, err);
    /* Only now: a disk that fills up while the model is written must not cost the training. */
    if (st == GF_OK && job->checkpoint != NULL)
        unlink(job->checkpoint);
    if (st == GF_OK && job->request->report != NULL) {
        const gf__train_facts facts = facts_of(job);
        st = gf__training_report(&facts, job->request->report, err);
    }
    return st;
}

gf_status gf_service_train(const gf_train_request *request, const gf_train_watch *watch,
                           gf_train_result **out, gf_error *err)
{
    *out = NULL;
    const double started_s = gf__clock_s();
    train_job job = {.request = request, .watch = watch};
    job.result = gf__calloc(1, sizeof *job.result);
    if (job.result == NULL)
        return gf__error_nomem(err, "result", sizeof *job.result);
    gf_status st = run_job(&job, err);
    if (st == GF_OK) {
        job.result->total_s = gf__clock_s() - started_s;
        *out = job.result;
        job.result = NULL;
    }
    gf_train_result_free(job.result);
    gf__free(job.checkpoint);
    gf_head_free(job.head);
    gf__free(job.means);
    gf__free(job.scales);
    gf__part_free(&job.train);
    gf__part_free(&job.test);
    gf__train_network_close(&job.network);
    gf_split_free(job.split);
    gf_dataset_free(job.test_dataset);
    gf_dataset_free(job.dataset);
    return st;
}

void gf_train_result_free(gf_train_result *result)
{
    if (result == NULL)
        return;
    gf_history_free(result->history);
    gf_metrics_free(result->metrics);
    gf__strings_free(result->class_names, result->n_classes);
    gf__strings_free(result->mistakes, result->n_mistakes);
    gf__free(result->probe_accuracy);
    gf__free(result->layer);
    gf__free(result);
}
