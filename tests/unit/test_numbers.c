/* test_numbers.c: tables of numbers as data sets, models without a trunk, and the training between
 * them. */
#include "check.h"

#include <unistd.h>

#include "base/base.h"
#include "data/data.h"
#include "graft/service.h"
#include "model/model.h"
#include "tensor/tensor.h"

static char *dir;
static char path[4096];

static int enter(void **state)
{
    dir = check_temp_dir();
    return 0;
}

static int leave(void **state)
{
    check_remove_dir(dir);
    return 0;
}

#define DIR_UNIT(name) cmocka_unit_test_setup_teardown(name, enter, leave)

static const char *put(const char *name, const char *text)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(gf__write_file(path, text, strlen(text), &check_err));
    return path;
}

static gf_dataset *open_text(const char *text)
{
    gf_dataset *set = NULL;
    CHECK_OK(gf_dataset_open(put("t.csv", text), NULL, NULL, &set, &check_err));
    return set;
}

static void check_row(const gf_dataset *set, size_t i, float a, float b)
{
    gf_sample sample;
    CHECK_OK(gf_dataset_read(set, i, &sample, &check_err));
    CHECK_EQ(sample.kind, GF_SAMPLE_NUMBERS);
    CHECK_EQ(sample.width, 2);
    CHECK_NEAR((double)((const float *)sample.data)[0], (double)a, 0);
    CHECK_NEAR((double)((const float *)sample.data)[1], (double)b, 0);
    gf_sample_release(&sample);
}

TEST(csv__of_numbers_has_columns_and_the_last_is_the_class)
{
    gf_dataset *set = open_text("a,b,kind\n1,2.5,x\n-3,4e1,y\n");
    CHECK_EQ(gf_dataset_n_columns(set), 2);
    CHECK_STR(gf_dataset_column_at(set, 0), "a");
    CHECK_STR(gf_dataset_column_at(set, 1), "b");
    assert_null(gf_dataset_column_at(set, 2));
    CHECK_EQ(gf_dataset_n_items(set), 2);
    CHECK_STR(gf_dataset_class_at(set, 0), "x");
    CHECK_EQ(gf_dataset_label_at(set, 1), 1);
    CHECK_STR(gf_dataset_item_at(set, 1), "line 3");
    assert_null(gf_dataset_file_at(set, 0));
    check_row(set, 0, 1, 2.5F);
    check_row(set, 1, -3, 40);
    gf_dataset_free(set);
}

TEST(csv__a_column_called_label_is_the_class_wherever_it_stands)
{
    gf_dataset *set = open_text("Label;a;b\n7;1;2\n8;3;4\n");
    CHECK_EQ(gf_dataset_n_columns(set), 2);
    CHECK_STR(gf_dataset_column_at(set, 0), "a");
    CHECK_STR(gf_dataset_class_at(set, 1), "8");
    check_row(set, 1, 3, 4);
    gf_dataset_free(set);
}

TEST(csv__without_a_header_has_made_up_columns)
{
    gf_dataset *set = open_text("1,2,x\n3,4,y\n");
    CHECK_EQ(gf_dataset_n_items(set), 2);
    CHECK_STR(gf_dataset_column_at(set, 1), "column_1");
    check_row(set, 0, 1, 2);
    gf_dataset_free(set);
}

TEST(csv__unlabelled_takes_every_column)
{
    const gf_dataset_options options = {.is_unlabelled = true};
    gf_dataset *set = NULL;
    CHECK_OK(gf_dataset_open(put("t.csv", "a,b\n1,2\n3,4\n"), &options, NULL, &set, &check_err));
    CHECK_EQ(gf_dataset_n_columns(set), 2);
    check_row(set, 1, 3, 4);
    gf_dataset_free(set);
}

static void refuses(const char *part, const char *text)
{
    gf_dataset *set = NULL;
    CHECK_FAILS(GF_EFORMAT, part,
                gf_dataset_open(put("t.csv", text), NULL, NULL, &set, &check_err));
    assert_null(set);
}

TEST(csv__of_numbers_names_line_and_column_of_what_is_none)
{
    refuses("line 3, column 2: \"oops\", expected a number", "a,b,label\n1,2,x\n3,oops,y\n");
    refuses("line 3, column 1: \"nan\", expected a number", "a,b,label\n1,2,x\nnan,2,y\n");
    refuses("line 3, column 1: \"1e99\"", "a,b,label\n1,2,x\n1e99,2,y\n");
    refuses("line 3: 2 columns, expected 3", "a,b,label\n1,2,x\n3,y\n");
    refuses("line 1, column 2: it has no name", "a,,label\n1,2,x\n");
}

TEST(csv__with_a_column_of_paths_is_a_list_of_pictures_whatever_they_are_called)
{
    gf_dataset *set = NULL;
    CHECK_FAILS(
        GF_ENOTFOUND, "pictures is there",
        gf_dataset_open(put("t.csv", "path,label\n1,x\n2,y\n"), NULL, NULL, &set, &check_err));
}

TEST(npz__with_rows_is_a_table)
{
    const size_t shape[2] = {3, 2};
    const double rows[6] = {1, 2, 3, 4, 5, 6};
    const int64_t labels[3] = {0, 1, 1};
    gf_tensor *tensors[2] = {NULL, NULL};
    gf_dataset *set = NULL;
    CHECK_OK(gf__tensor_view(GF_DTYPE_F64, shape, 2, rows, &tensors[0], &check_err));
    CHECK_OK(gf__tensor_view(GF_DTYPE_I64, shape, 1, labels, &tensors[1], &check_err));
    const gf_npz_member members[2] = {{.name = "features", .tensor = tensors[0]},
                                      {.name = "labels", .tensor = tensors[1]}};
    snprintf(path, sizeof path, "%s/rows.npz", dir);
    CHECK_OK(gf_npz_save(path, members, 2, false, &check_err));
    CHECK_OK(gf_dataset_open(path, NULL, NULL, &set, &check_err));
    CHECK_EQ(gf_dataset_n_columns(set), 2);
    CHECK_EQ(gf_dataset_n_classes(set), 2);
    check_row(set, 2, 5, 6);
    gf_dataset_free(set);
    gf_tensor_free(tensors[0]);
    gf_tensor_free(tensors[1]);
}

TEST(hash__of_a_table_knows_columns_and_values)
{
    char first[GF__SHA256_HEX], other[GF__SHA256_HEX];
    static const char *const texts[] = {"a,c,k\n1,2,x\n3,4,y\n", "a,b,k\n1,2,x\n3,5,y\n",
                                        "a,b,k\n1,2,y\n3,4,x\n"};
    gf_dataset *set = open_text("a,b,k\n1,2,x\n3,4,y\n");
    CHECK_OK(gf_dataset_hash(set, NULL, first, &check_err));
    gf_dataset_free(set);
    for (size_t i = 0; i < 3; i++) {
        set = open_text(texts[i]);
        CHECK_OK(gf_dataset_hash(set, NULL, other, &check_err));
        CHECK(strcmp(first, other) != 0);
        gf_dataset_free(set);
    }
}

TEST(standardise__has_mean_0_and_deviation_1)
{
    const float rows[6] = {1, 7, 2, 7, 6, 7};
    float means[2], scales[2], out[2];
    gf__standardisation_fit(rows, 3, 2, means, scales);
    CHECK_NEAR((double)means[0], 3, 1e-6);
    CHECK_NEAR((double)scales[0], 2.160247, 1e-6);
    CHECK_NEAR((double)scales[1], 1, 0); /* a column that never changes */
    const gf__standardisation how = {means, scales};
    gf__standardise(&how, rows + 4, out, 2);
    CHECK_NEAR((double)out[0], 3 / 2.160247, 1e-6);
    CHECK_NEAR((double)out[1], 0, 0);
}

/* Two clouds that a line separates, far from 0 and on two scales; trained into dir/m.safetensors. */
static gf_model *train_model(void)
{
    gf__buffer text = {0};
    gf_train_request request = gf_train_request_default();
    gf_train_result *result = NULL;
    gf_model *model = NULL;
    char output[4096];
    gf__rng rng;
    gf__rng_seed(&rng, 7, 0);
    gf__buffer_puts(&text, "wide,narrow,kind\n");
    for (int i = 0; i < 60; i++)
        gf__buffer_printf(&text, "%.3f,%.6f,%s\n",
                          (i % 2 == 0 ? 1000 : 1400) + 100 * gf__rng_normal(&rng),
                          0.001 * (i % 2 == 0 ? 3 : 1) + 0.0003 * gf__rng_normal(&rng),
                          i % 2 == 0 ? "left" : "right");
    snprintf(output, sizeof output, "%s/m.safetensors", dir);
    request.dataset = put("clouds.csv", text.data);
    request.output = output;
    request.hidden = 8;
    request.options.n_epochs = 60;
    request.options.learning_rate = 0.02F;
    CHECK_OK(gf_service_train(&request, NULL, &result, &check_err));
    CHECK(result->metrics->accuracy > 0.9);
    assert_null(result->layer);
    gf_train_result_free(result);
    gf__buffer_free(&text);
    CHECK_OK(gf_model_load(output, &model, &check_err));
    return model;
}

TEST(train__a_table_gives_a_model_without_a_trunk)
{
    gf_model *model = train_model();
    double largest = 1;
    size_t n_samples = 0;
    float scores[2], logits[2];
    assert_null(gf_model_trunk_name(model));
    assert_null(gf_model_layer(model));
    CHECK(gf__model_takes_numbers(model));
    CHECK(!gf_model_is_bundle(model));
    CHECK_EQ(gf_model_n_inputs(model), 2);
    CHECK_STR(gf_model_column_at(model, 1), "narrow");
    CHECK_OK(gf_model_verify(model, NULL, NULL, &largest, &n_samples, &check_err));
    CHECK_EQ(n_samples, 2);
    CHECK_NEAR(largest, 0, 1e-6);
    CHECK_OK(gf__model_predict_numbers(model, (const float[]){950, 0.0031F}, 2, scores, logits,
                                       &check_err));
    CHECK(scores[0] > 0.9F); /* left */
    CHECK(logits[0] > logits[1]);
    CHECK_OK(gf__model_predict_numbers(model, (const float[]){1450, 0.0009F}, 2, scores, NULL,
                                       &check_err));
    CHECK(scores[1] > 0.9F);
    gf_model_unref(model);
}

TEST(predict_numbers__refuses_what_is_no_row_of_the_model)
{
    gf_model *model = train_model();
    gf_predictor *predictor = NULL;
    gf_trunk *trunk = NULL;
    float scores[2];
    CHECK_OK(gf_predictor_new(model, NULL, NULL, &predictor, &check_err));
    CHECK_OK(
        gf_predictor_numbers(predictor, (const float[]){950, 0.003F}, 2, scores, NULL, &check_err));
    CHECK_FAILS(
        GF_ESHAPE, "3 numbers, the model takes 2",
        gf_predictor_numbers(predictor, (const float[]){1, 2, 3}, 3, scores, NULL, &check_err));
    CHECK_FAILS(
        GF_EINVAL, "number 1 is inf",
        gf_predictor_numbers(predictor, (const float[]){1, INFINITY}, 2, scores, NULL, &check_err));
    CHECK_FAILS(
        GF_EINVAL, "column 1 is",
        gf_predictor_numbers(predictor, (const float[]){1, 3e38F}, 2, scores, NULL, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "takes 2 numbers, not pictures",
                gf_predictor_picture(predictor, "x", 1, scores, NULL, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "it has no trunk",
                gf_model_trunk(model, NULL, &trunk, &check_err));
    gf_predictor_free(predictor);
    gf_model_unref(model);
}

/* The model with one text of its document exchanged for another of the same length. */
static void check_refuses(const char *from, const char *to, const char *part)
{
    char *bytes = NULL;
    size_t size = 0;
    gf_model *model = NULL;
    snprintf(path, sizeof path, "%s/m.safetensors", dir);
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &size, &check_err));
    char *at = memmem(bytes, size, from, strlen(from));
    assert_non_null(at);
    CHECK_EQ(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    CHECK_FAILS(GF_EFORMAT, part, gf__model_parse(bytes, size, &model, &check_err));
    gf__free(bytes);
}

TEST(model_file__of_numbers_names_the_member_that_is_wrong)
{
    gf_model_unref(train_model());
    check_refuses("\\\"columns\\\"", "\\\"colunms\\\"", "columns: ");
    check_refuses("\\\"wide\\\",", "         ", "columns: 1 names, n_features is 2");
    check_refuses("\\\"means\\\"", "\\\"meens\\\"", "standardisation: means: ");
}

TEST(golden__a_model_of_numbers_of_format_1_opens_and_says_what_it_said)
{
    gf_model *model = NULL;
    size_t n_samples = 0;
    float scores[3];
    CHECK_OK(gf_model_load(check_fixture("golden/model/format-1-numbers.safetensors"), &model,
                           &check_err));
    CHECK_OK(gf_model_verify(model, NULL, NULL, NULL, &n_samples, &check_err));
    CHECK_EQ(n_samples, 3);
    CHECK_STR(gf_model_column_at(model, 0), "sepal_length");
    CHECK_OK(gf__model_predict_numbers(model, (const float[]){5.1F, 3.5F, 1.4F, 0.2F}, 4, scores,
                                       NULL, &check_err));
    CHECK_STR(gf_model_class_at(model, 0), "setosa");
    CHECK(scores[0] > 0.99F);
    gf_model_unref(model);
}

TEST(evaluate__wants_the_columns_of_the_model)
{
    const gf_context context = {.home = dir};
    gf_evaluation *evaluation = NULL;
    char model[4096];
    gf_model_unref(train_model());
    snprintf(model, sizeof model, "%s/m.safetensors", dir);
    CHECK_OK(gf_service_evaluate(
        &context, model, put("t.csv", "wide,narrow,kind\n950,0.003,left\n1450,0.001,right\n"), NULL,
        NULL, &evaluation, &check_err));
    CHECK_NEAR(evaluation->metrics->accuracy, 1, 0);
    gf_evaluation_free(evaluation);
    CHECK_FAILS(GF_EMISMATCH, "column 2 is small, expected narrow",
                gf_service_evaluate(&context, model,
                                    put("t.csv", "wide,small,kind\n950,0.003,left\n1,1,right\n"),
                                    NULL, NULL, &evaluation, &check_err));
}

TESTS_MAIN(DIR_UNIT(csv__of_numbers_has_columns_and_the_last_is_the_class),
           DIR_UNIT(csv__a_column_called_label_is_the_class_wherever_it_stands),
           DIR_UNIT(csv__without_a_header_has_made_up_columns),
           DIR_UNIT(csv__unlabelled_takes_every_column),
           DIR_UNIT(csv__of_numbers_names_line_and_column_of_what_is_none),
           DIR_UNIT(csv__with_a_column_of_paths_is_a_list_of_pictures_whatever_they_are_called),
           DIR_UNIT(npz__with_rows_is_a_table), DIR_UNIT(hash__of_a_table_knows_columns_and_values),
           UNIT(standardise__has_mean_0_and_deviation_1),
           DIR_UNIT(train__a_table_gives_a_model_without_a_trunk),
           DIR_UNIT(predict_numbers__refuses_what_is_no_row_of_the_model),
           DIR_UNIT(model_file__of_numbers_names_the_member_that_is_wrong),
           UNIT(golden__a_model_of_numbers_of_format_1_opens_and_says_what_it_said),
           DIR_UNIT(evaluate__wants_the_columns_of_the_model))
