/* The main job as a call: requests that cannot be met, stops at every place where the caller may
 * stop, going on afterwards. On the small network of the importer's fixtures, whose pooled layer is
 * avg_pool (16 values of 16 x 16 pictures). */
#include "graft/service.h"

#include "tiny.h"

typedef struct scene {
    char *dir, *home, *pictures, *output;
    gf_train_request request;
} scene;

/* A home with the trunk "small", n_each pictures of each of two classes. */
static scene make_scene(size_t n_each)
{
    scene s = {.dir = check_temp_dir()};
    s.home = tiny_path(s.dir, "home");
    s.pictures = tiny_path(s.dir, "pictures");
    s.output = tiny_path(s.dir, "m.safetensors");
    CHECK_OK(gf_zoo_import(check_fixture("golden/zoo/small_float32/model.json"), "small", s.home,
                           NULL, NULL, &check_err));
    tiny_folder(s.pictures, 2, n_each);
    s.request = gf_train_request_default();
    s.request.context = (gf_context){.home = s.home, .n_threads = 2};
    s.request.dataset = s.pictures;
    s.request.trunk = "small";
    s.request.hidden = 8;
    s.request.precision = GF_PRECISION_F32;
    s.request.options.n_epochs = 6;
    s.request.output = s.output;
    return s;
}

static void end_scene(scene *s)
{
    gf__free(s->home);
    gf__free(s->pictures);
    gf__free(s->output);
    check_remove_dir(s->dir);
}

static bool is_there(const scene *s, const char *name)
{
    char *path = tiny_path(s->dir, name);
    const bool found = gf__is_file(path);
    gf__free(path);
    return found;
}

TEST(train__writes_a_model_that_names_its_classes)
{
    scene s = make_scene(10);
    gf_train_result *result = NULL;
    gf_model *model = NULL;
    CHECK_OK(gf_service_train(&s.request, NULL, &result, &check_err));
    CHECK_EQ(result->n_train, 16);
    CHECK_EQ(result->n_test, 4);
    CHECK_EQ(result->history->n_epochs, 6);
    CHECK_STR(result->layer, "avg_pool");
    CHECK_OK(gf_model_load(s.output, &model, &check_err));
    CHECK_EQ(gf_model_n_classes(model), 2);
    CHECK_STR(gf_model_class_at(model, 1), "b");
    CHECK(!is_there(&s, "m.safetensors.checkpoint"));
    gf_model_unref(model);
    gf_train_result_free(result);
    end_scene(&s);
}

TEST(train__of_no_output_writes_nothing)
{
    scene s = make_scene(10);
    gf_train_result *result = NULL;
    s.request.output = NULL;
    CHECK_OK(gf_service_train(&s.request, NULL, &result, &check_err));
    CHECK(!is_there(&s, "m.safetensors"));
    gf_train_result_free(result);
    end_scene(&s);
}

/* ---- requests that cannot be met ---- */

typedef struct bad_request {
    gf_status status;
    const char *part; /* of the message */
    void (*spoil)(gf_train_request *request);
} bad_request;

static void without_dataset(gf_train_request *r)
{
    r->dataset = NULL;
}
static void all_held_out(gf_train_request *r)
{
    r->val_fraction = 1;
}
static void nothing_held_out(gf_train_request *r)
{
    r->val_fraction = 0;
}
static void val_not_a_number(gf_train_request *r)
{
    r->val_fraction = NAN;
}
static void resumed_from_nowhere(gf_train_request *r)
{
    r->output = NULL;
    r->is_resumed = true;
}
static void everything_dropped(gf_train_request *r)
{
    r->dropout = 1;
}
static void without_epochs(gf_train_request *r)
{
    r->options.n_epochs = 0;
}
static void learning_nothing(gf_train_request *r)
{
    r->options.learning_rate = 0;
}
static void unknown_trunk(gf_train_request *r)
{
    r->trunk = "large";
}
static void unknown_layer(gf_train_request *r)
{
    r->layer = "avg_poll";
}
static void missing_dataset(gf_train_request *r)
{
    r->dataset = "no/such/folder";
}
static void missing_test_dataset(gf_train_request *r)
{
    r->test_dataset = "no/such/folder";
}
static void output_nowhere(gf_train_request *r)
{
    r->output = "no/such/folder/m.safetensors";
}
static void report_nowhere(gf_train_request *r)
{
    r->report = "no/such/folder/r.html";
}

TEST(train__refuses_by_name_what_cannot_be)
{
    static const bad_request requests[] = {
        {GF_EINVAL, "no data set given", without_dataset},
        {GF_EINVAL, "--val 1", all_held_out},
        {GF_EINVAL, "--val 0", nothing_held_out},
        {GF_EINVAL, "--val nan", val_not_a_number},
        {GF_EINVAL, "--resume needs", resumed_from_nowhere},
        {GF_EINVAL, "--dropout 1", everything_dropped},
        {GF_EINVAL, "0", without_epochs},
        {GF_EINVAL, "0", learning_nothing},
        {GF_ENOTFOUND, "no trunk \"large\"", unknown_trunk},
        {GF_ENOTFOUND, "the closest name is \"avg_pool\"", unknown_layer},
        {GF_ENOTFOUND, "no/such/folder", missing_dataset},
        {GF_ENOTFOUND, "no/such/folder", missing_test_dataset},
        {GF_ENOTFOUND, "no/such/folder/m.safetensors", output_nowhere},
        {GF_ENOTFOUND, "no/such/folder/r.html", report_nowhere},
    };
    scene s = make_scene(5);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        gf_train_request request = s.request;
        gf_train_result *result = NULL;
        requests[i].spoil(&request);
        CHECK_FAILS(requests[i].status, requests[i].part,
                    gf_service_train(&request, NULL, &result, &check_err));
        assert_null(result);
    }
    CHECK(!is_there(&s, "m.safetensors"));
    end_scene(&s);
}

/* ---- stopping ---- */

typedef struct stopper {
    const char *stage; /* progress of this stage stops */
    int epoch;         /* the end of this epoch stops */
    size_t n_warnings;
} stopper;

static bool stop_in_stage(void *user, const gf_progress *progress)
{
    const stopper *stop = user;
    return stop->stage == NULL || strcmp(progress->stage, stop->stage) != 0;
}

static bool stop_after_epoch(void *user, const gf_epoch *epoch, int n_epochs)
{
    return epoch->number != ((const stopper *)user)->epoch;
}

static void count_warnings(void *user, gf_log_level level, const char *message)
{
    if (level == GF_LOG_WARNING)
        ((stopper *)user)->n_warnings++;
}

static gf_train_watch watch_of(stopper *stop)
{
    return (gf_train_watch){
        .observer = {.progress = stop_in_stage, .log = count_warnings, .user = stop},
        .epoch = stop_after_epoch,
        .user = stop};
}

TEST(train__stopped_before_the_first_epoch_leaves_nothing)
{
    static const char *const stages[] = {"features", "hash"};
    scene s = make_scene(5);
    for (size_t i = 0; i < 2; i++) {
        stopper stop = {.stage = stages[i]};
        const gf_train_watch watch = watch_of(&stop);
        gf_train_result *result = NULL;
        CHECK_FAILS(GF_ECANCELED, "stopped",
                    gf_service_train(&s.request, &watch, &result, &check_err));
        assert_null(result);
        CHECK(!is_there(&s, "m.safetensors"));
        CHECK(!is_there(&s, "m.safetensors.checkpoint"));
    }
    end_scene(&s);
}

TEST(train__stopped_in_training_goes_on_to_the_same_bytes)
{
    scene s = make_scene(8);
    stopper stop = {.epoch = 3};
    const gf_train_watch watch = watch_of(&stop);
    gf_train_result *result = NULL;
    char whole[GF__SHA256_HEX], resumed[GF__SHA256_HEX];
    CHECK_OK(gf_service_train(&s.request, NULL, &result, &check_err));
    gf_train_result_free(result);
    CHECK_OK(gf__hash_file(GF__HASH_SHA256, s.output, whole, &check_err));
    CHECK_EQ(remove(s.output), 0);

    CHECK_FAILS(GF_ECANCELED, "epoch 3 of 6",
                gf_service_train(&s.request, &watch, &result, &check_err));
    CHECK(is_there(&s, "m.safetensors.checkpoint"));
    CHECK(!is_there(&s, "m.safetensors"));
    s.request.is_resumed = true;
    CHECK_OK(gf_service_train(&s.request, NULL, &result, &check_err));
    gf_train_result_free(result);
    CHECK_OK(gf__hash_file(GF__HASH_SHA256, s.output, resumed, &check_err));
    CHECK_STR(resumed, whole);
    CHECK(!is_there(&s, "m.safetensors.checkpoint"));
    end_scene(&s);
}

TEST(train__warns_of_a_class_without_one_readable_picture)
{
    scene s = make_scene(4);
    stopper stop = {0};
    const gf_train_watch watch = watch_of(&stop);
    gf_train_result *result = NULL;
    for (size_t i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "a/%03zu.png", i);
        char *path = tiny_path(s.pictures, name);
        CHECK_OK(gf__write_file(path, "spoilt", 6, &check_err));
        gf__free(path);
    }
    s.request.is_stratified = true;
    CHECK_OK(gf_service_train(&s.request, &watch, &result, &check_err));
    CHECK_EQ(result->n_skipped, 4);
    CHECK_EQ(stop.n_warnings, 4 + 1);
    gf_train_result_free(result);
    end_scene(&s);
}

/* ---- features ---- */

TEST(features__of_several_layers_do_not_fit_an_npy)
{
    scene s = make_scene(2);
    static const char *const layers[2] = {"mixed", "3"};
    char *path = tiny_path(s.dir, "f.npy");
    gf_features_result *result = NULL;
    const gf_features_request request = {.context = s.request.context,
                                         .source = s.pictures,
                                         .trunk = "small",
                                         .layers = layers,
                                         .n_layers = 2,
                                         .pool = GF_POOL_AVG,
                                         .precision = GF_PRECISION_F32};
    CHECK_OK(gf_service_features(&request, NULL, &result, &check_err));
    CHECK_EQ(result->n_items, 4);
    CHECK_STR(result->layers[1], "norm");
    CHECK_EQ(gf_tensor_shape(result->features[0])[1], 16);
    CHECK_FAILS(GF_EINVAL, "one layer, not 2", gf_features_save(result, path, &check_err));
    CHECK(!gf__is_file(path));
    gf_features_result_free(result);
    gf__free(path);
    end_scene(&s);
}

/* The last weight of the file is behind the cut: no score depends on it, but the trunk is another. */
TEST(model_verify__finds_a_damaged_weight_that_no_score_depends_on)
{
    scene s = make_scene(10);
    gf_train_result *result = NULL;
    gf_model *model = NULL;
    size_t n_samples = 0;
    CHECK_OK(gf_service_train(&s.request, NULL, &result, &check_err));
    CHECK_OK(gf_model_load(s.output, &model, &check_err));
    CHECK_OK(gf_model_verify(model, s.home, NULL, NULL, &n_samples, &check_err));
    CHECK_EQ(n_samples, 2);

    char *trunk = tiny_path(s.home, "trunks/small.safetensors");
    FILE *file = fopen(trunk, "r+b");
    assert_non_null(file);
    CHECK_EQ(fseek(file, -1, SEEK_END), 0);
    const int last = fgetc(file);
    CHECK_EQ(fseek(file, -1, SEEK_END), 0);
    fputc(last ^ 1, file);
    fclose(file);
    CHECK_FAILS(GF_EMISMATCH, "trunk \"small\" is damaged",
                gf_model_verify(model, s.home, NULL, NULL, &n_samples, &check_err));
    gf__free(trunk);
    gf_model_unref(model);
    gf_train_result_free(result);
    end_scene(&s);
}

TESTS_MAIN(UNIT(model_verify__finds_a_damaged_weight_that_no_score_depends_on),
           UNIT(train__writes_a_model_that_names_its_classes),
           UNIT(train__of_no_output_writes_nothing), UNIT(train__refuses_by_name_what_cannot_be),
           UNIT(train__stopped_before_the_first_epoch_leaves_nothing),
           UNIT(train__stopped_in_training_goes_on_to_the_same_bytes),
           UNIT(train__warns_of_a_class_without_one_readable_picture),
           UNIT(features__of_several_layers_do_not_fit_an_npy))
