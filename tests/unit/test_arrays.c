/* Arrays in memory: as a data set, and a head fitted to them by hand as a model file. */
#include "tiny_model.h"

#include "data/data.h"
#include "graft/service.h"

static const size_t three_labels[3] = {2, 0, 1};

static gf_dataset_arrays pictures_of(const uint8_t *rgb, size_t side)
{
    return (gf_dataset_arrays){.kind = GF_SAMPLE_PIXELS,
                               .values = rgb,
                               .n = 3,
                               .height = side,
                               .width = side,
                               .labels = three_labels};
}

TEST(dataset_new__lends_pictures_and_names_classes_by_number)
{
    uint8_t rgb[3 * 2 * 2 * 3];
    gf_dataset *set = NULL;
    gf_sample sample;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)i;
    const gf_dataset_arrays arrays = pictures_of(rgb, 2);
    CHECK_OK(gf_dataset_new(&arrays, &set, &check_err));
    CHECK_STR(gf_dataset_kind(set), "arrays");
    CHECK_EQ(gf_dataset_n_items(set), 3);
    CHECK_EQ(gf_dataset_n_classes(set), 3);
    CHECK_STR(gf_dataset_class_at(set, 2), "2");
    CHECK_EQ(gf_dataset_label_at(set, 0), 2);
    CHECK_STR(gf_dataset_item_at(set, 1), "features[1]");
    CHECK(gf_dataset_file_at(set, 1) == NULL);
    CHECK_OK(gf_dataset_read(set, 1, &sample, &check_err));
    CHECK_EQ(sample.kind, GF_SAMPLE_PIXELS);
    CHECK_EQ(sample.n_bytes, 12);
    CHECK(sample.data == rgb + 12); /* not a copy */
    gf_sample_release(&sample);
    gf_dataset_free(set);
}

TEST(dataset_new__copies_rows_of_numbers)
{
    float rows[6] = {1, 2, 3, 4, 5, 6};
    const char *const names[] = {"rose", "tulip", "daisy"};
    gf_dataset *set = NULL;
    gf_sample sample;
    const gf_dataset_arrays arrays = {.kind = GF_SAMPLE_NUMBERS,
                                      .values = rows,
                                      .n = 3,
                                      .width = 2,
                                      .labels = three_labels,
                                      .class_names = names,
                                      .n_class_names = 3};
    CHECK_OK(gf_dataset_new(&arrays, &set, &check_err));
    rows[2] = 99;
    CHECK_EQ(gf_dataset_n_columns(set), 2);
    CHECK_STR(gf_dataset_column_at(set, 1), "column_1");
    CHECK_STR(gf_dataset_class_at(set, 0), "rose");
    CHECK_OK(gf_dataset_read(set, 1, &sample, &check_err));
    CHECK_EQ(sample.width, 2);
    CHECK_NEAR((double)((const float *)sample.data)[0], 3, 0);
    gf_sample_release(&sample);
    gf_dataset_free(set);
}

TEST(dataset_new__refuses_what_is_no_data_set)
{
    const uint8_t rgb[3 * 3] = {0};
    float rows[3] = {1, 2, NAN};
    const char *const names[] = {"rose", "tulip"};
    gf_dataset *set = NULL;
    gf_dataset_arrays arrays = pictures_of(rgb, 1);
    arrays.n = 0;
    CHECK_FAILS(GF_EINVAL, "no items", gf_dataset_new(&arrays, &set, &check_err));
    arrays = pictures_of(rgb, 1);
    arrays.height = 0;
    CHECK_FAILS(GF_ESHAPE, "1 x 0", gf_dataset_new(&arrays, &set, &check_err));
    arrays = pictures_of(rgb, 1);
    arrays.kind = GF_SAMPLE_SCALED;
    CHECK_FAILS(GF_EUNSUPPORTED, "GF_SAMPLE_PIXELS", gf_dataset_new(&arrays, &set, &check_err));
    arrays = pictures_of(rgb, 1);
    arrays.class_names = names;
    arrays.n_class_names = 2;
    CHECK_FAILS(GF_EFORMAT, "label of features[0] is 2", gf_dataset_new(&arrays, &set, &check_err));
    arrays = (gf_dataset_arrays){
        .kind = GF_SAMPLE_NUMBERS, .values = rows, .n = 3, .width = 1, .labels = three_labels};
    CHECK_FAILS(GF_EFORMAT, "features[2]", gf_dataset_new(&arrays, &set, &check_err));
    CHECK(set == NULL);
}

TEST(dataset_new__survives_every_allocation_failure)
{
    const uint8_t rgb[3 * 3] = {0};
    const gf_dataset_arrays arrays = pictures_of(rgb, 1);
    gf_dataset *set = NULL;
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_dataset_new(&arrays, &set, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && set == NULL));
    }
    gf_dataset_free(set);
}

/* ---- saving ---- */

/* A temporary home, the tiny trunk, three pictures of its size, and a head on its features. */
typedef struct scene {
    char *dir, *model;
    gf_trunk *trunk;
    uint8_t rgb[3 * TINY_SIDE * TINY_SIDE * 3];
    gf_dataset *pictures;
    gf_head *head;
    gf_save_request request;
} scene;

static void begin(scene *s)
{
    *s = (scene){.dir = check_temp_dir()};
    s->model = tiny_path(s->dir, "by-hand.safetensors");
    s->trunk = tiny_trunk("tiny");
    for (size_t i = 0; i < sizeof s->rgb; i++)
        s->rgb[i] = (uint8_t)(i * 7 + i / 100);
    gf_dataset_arrays arrays = pictures_of(s->rgb, TINY_SIDE);
    arrays.class_names = tiny_classes;
    arrays.n_class_names = 3;
    CHECK_OK(gf_dataset_new(&arrays, &s->pictures, &check_err));
    s->head = tiny_head(3);
    s->request = (gf_save_request){.context = {.home = s->dir, .n_threads = 1},
                                   .head = s->head,
                                   .trunk = s->trunk,
                                   .layer = "conv",
                                   .pool = GF_POOL_AVG,
                                   .precision = GF_PRECISION_F32,
                                   .dataset = s->pictures,
                                   .training = "{\"api\": \"test\"}",
                                   .output = s->model,
                                   .is_bundle = true};
}

static void end(scene *s)
{
    gf_head_free(s->head);
    gf_dataset_free(s->pictures);
    gf_trunk_free(s->trunk);
    gf__free(s->model);
    check_remove_dir(s->dir);
}

TEST(service_save__writes_a_model_that_passes_its_self_test)
{
    scene s;
    gf_model *model = NULL;
    gf_trunk *trunk = NULL;
    size_t n_samples = 0;
    begin(&s);
    CHECK_OK(gf_service_save(&s.request, &check_err));
    CHECK_OK(gf_model_load(s.model, &model, &check_err));
    CHECK_OK(gf_model_verify(model, s.dir, NULL, NULL, &n_samples, &check_err));
    CHECK_EQ(n_samples, 3);
    CHECK_STR(gf_model_class_at(model, 1), "tulip");
    CHECK_STR(gf_model_layer(model), "conv");
    CHECK_NEAR((double)gf_model_mean_at(model, 0), 0, 0);
    CHECK_NEAR((double)gf_model_scale_at(model, 0), 1, 0);
    CHECK(strstr(gf_model_document(model), "\"api\"") != NULL);
    CHECK_OK(gf_model_trunk(model, s.dir, &trunk, &check_err));
    gf_trunk_free(trunk);
    gf_model_unref(model);
    end(&s);
}

TEST(service_save__says_what_does_not_fit)
{
    scene s;
    gf_head *wide = NULL;
    const gf_head_layer layer = {.units = 3, .activation = GF_HEAD_SOFTMAX};
    begin(&s);
    CHECK_OK(gf_head_new(5, &layer, 1, &wide, &check_err));
    s.request.head = wide;
    CHECK_FAILS(GF_ESHAPE, "the head takes 5", gf_service_save(&s.request, &check_err));
    gf_head_free(wide);
    const gf_head_layer two = {.units = 2, .activation = GF_HEAD_SOFTMAX};
    CHECK_OK(gf_head_new(gf_head_n_features(s.head), &two, 1, &wide, &check_err));
    s.request.head = wide;
    CHECK_FAILS(GF_ESHAPE, "3 classes, the head's last layer 2 units",
                gf_service_save(&s.request, &check_err));
    gf_head_free(wide);
    s.request.head = s.head;
    s.request.training = "{";
    CHECK_FAILS(GF_EFORMAT, "training", gf_service_save(&s.request, &check_err));
    s.request.training = NULL;
    s.request.layer = "mixed11";
    CHECK_FAILS(GF_ENOTFOUND, "mixed11", gf_service_save(&s.request, &check_err));
    CHECK(!gf__is_file(s.model));
    end(&s);
}

TEST(service_save__of_rows_standardises_as_it_is_told)
{
    scene s;
    const float rows[6] = {1, 2, 3, 4, 5, 6}, means[2] = {3, 4}, scales[2] = {2, 0.5f};
    const float zero_scale[2] = {1, 0};
    const gf_head_layer layer = {.units = 3, .activation = GF_HEAD_SOFTMAX};
    gf_head *head = NULL;
    gf_model *model = NULL;
    gf_dataset *set = NULL;
    gf_predictor *predictor = NULL;
    float want[3], found[3];
    begin(&s);
    const gf_dataset_arrays arrays = {
        .kind = GF_SAMPLE_NUMBERS, .values = rows, .n = 3, .width = 2, .labels = three_labels};
    CHECK_OK(gf_dataset_new(&arrays, &set, &check_err));
    CHECK_OK(gf_head_new(2, &layer, 1, &head, &check_err));
    gf_head_initialise(head, 1);
    s.request = (gf_save_request){.context = s.request.context,
                                  .head = head,
                                  .means = means,
                                  .scales = zero_scale,
                                  .dataset = set,
                                  .output = s.model};
    CHECK_FAILS(GF_EINVAL, "column 1", gf_service_save(&s.request, &check_err));
    s.request.scales = scales;
    CHECK_OK(gf_service_save(&s.request, &check_err));
    CHECK_OK(gf_model_load(s.model, &model, &check_err));
    CHECK_NEAR((double)gf_model_mean_at(model, 1), 4, 0);
    CHECK_NEAR((double)gf_model_scale_at(model, 1), 0.5, 0);
    CHECK_OK(gf_model_verify(model, NULL, NULL, NULL, NULL, &check_err));
    CHECK_OK(gf_predictor_new(model, NULL, NULL, &predictor, &check_err));
    CHECK_OK(gf_predictor_numbers(predictor, &rows[2], 2, found, NULL, &check_err));
    CHECK_OK(gf_head_predict(head, (const float[2]){0, 0}, 1, want, &check_err));
    for (size_t k = 0; k < 3; k++)
        CHECK_NEAR((double)found[k], (double)want[k], 1e-7);
    gf_predictor_free(predictor);
    gf_model_unref(model);
    gf_head_free(head);
    gf_dataset_free(set);
    end(&s);
}

TESTS_MAIN(UNIT(dataset_new__lends_pictures_and_names_classes_by_number),
           UNIT(dataset_new__copies_rows_of_numbers),
           UNIT(dataset_new__refuses_what_is_no_data_set),
           UNIT(dataset_new__survives_every_allocation_failure),
           UNIT(service_save__writes_a_model_that_passes_its_self_test),
           UNIT(service_save__says_what_does_not_fit),
           UNIT(service_save__of_rows_standardises_as_it_is_told))
