/* Data sets in .npz files: pictures as bytes and as floats, labels of every kind, what is refused and
 * with which words. */
#include "dataset_home.h"
#include "tensor/tensor.h"

/* An .npz of n pictures of 2 x 1 pixels (or another shape) and labels. */
typedef struct npz_parts {
    gf_dtype dtype;
    const size_t *shape; /* NULL: (n,1,2,3) */
    size_t n_dims;
    double values[12]; /* repeated */
    size_t n_values;
    gf_dtype label_dtype;
    size_t label_shape[2];
    size_t n_label_dims; /* 0: names */
    double labels[8];
    const char *const *names;
    const char *const *classes;
    size_t n_classes;
    size_t n; /* pictures */
} npz_parts;

static void put(gf_tensor *tensor, size_t i, double value)
{
    void *data = gf_tensor_mutable_data(tensor);

    switch (gf_tensor_dtype(tensor)) {
    case GF_DTYPE_F32:
        ((float *)data)[i] = (float)value;
        break;
    case GF_DTYPE_F64:
        ((double *)data)[i] = value;
        break;
    case GF_DTYPE_U8:
    case GF_DTYPE_BOOL:
        ((uint8_t *)data)[i] = (uint8_t)value;
        break;
    case GF_DTYPE_I32:
        ((int32_t *)data)[i] = (int32_t)value;
        break;
    case GF_DTYPE_I64:
        ((int64_t *)data)[i] = (int64_t)value;
        break;
    default:
        fail_msg("no %s in these tests", gf_dtype_name(gf_tensor_dtype(tensor)));
    }
}

static gf_tensor *tensor_of(gf_dtype dtype, const size_t *shape, size_t n_dims,
                            const double *values, size_t n_values)
{
    gf_tensor *tensor = NULL;

    CHECK_OK(gf_tensor_new(dtype, shape, n_dims, &tensor, &check_err));
    for (size_t i = 0; i < gf_tensor_n_values(tensor); i++)
        put(tensor, i, values[i % n_values]);
    return tensor;
}

/* PATH.npz in dir, as parts say. */
static const char *write_npz(const char *dir, const npz_parts *parts)
{
    static char path[1024];
    const size_t pictures[4] = {parts->n, 1, 2, 3};
    gf_tensor *features, *labels = NULL;
    gf_npz_member members[3] = {{.name = "features"}, {.name = "labels"}, {.name = "classes"}};

    snprintf(path, sizeof path, "%s/set.npz", dir);
    features = tensor_of(parts->dtype, parts->shape != NULL ? parts->shape : pictures,
                         parts->shape != NULL ? parts->n_dims : 4, parts->values, parts->n_values);
    members[0].tensor = features;
    if (parts->n_label_dims > 0)
        labels = tensor_of(parts->label_dtype, parts->label_shape, parts->n_label_dims,
                           parts->labels, 8);
    members[1].tensor = labels;
    members[1].strings = parts->names;
    members[1].n_strings = labels == NULL ? parts->n : 0;
    members[2].strings = parts->classes;
    members[2].n_strings = parts->n_classes;
    CHECK_OK(gf_npz_save(path, members, parts->n_classes > 0 ? 3 : 2, false, &check_err));
    gf_tensor_free(features);
    gf_tensor_free(labels);
    return path;
}

/* Three pictures of bytes with labels 1, 0, 1. */
static npz_parts plain_parts(void)
{
    return (npz_parts){.dtype = GF_DTYPE_U8,
                       .values = {0, 7, 255},
                       .n_values = 3,
                       .label_dtype = GF_DTYPE_I64,
                       .label_shape = {3},
                       .n_label_dims = 1,
                       .labels = {1, 0, 1},
                       .n = 3};
}

static void check_npz(const npz_parts *parts, const char *want)
{
    char *dir = check_temp_dir();

    check_folder(write_npz(dir, parts), want);
    check_remove_dir(dir);
}

static void check_npz_refused(const npz_parts *parts, gf_status code, const char *part)
{
    char *dir = check_temp_dir();

    check_refused(write_npz(dir, parts), code, part);
    check_remove_dir(dir);
}

TEST(npz__holds_pictures_as_bytes)
{
    char *dir = check_temp_dir();
    npz_parts parts = plain_parts();
    gf_dataset *set = NULL;
    gf_sample sample;

    CHECK_OK(gf_dataset_open(write_npz(dir, &parts), NULL, NULL, &set, &check_err));
    CHECK_STR(describe_set(set), "npz 0 1: features[0]=1 features[1]=0 features[2]=1");
    CHECK(gf_dataset_file_at(set, 0) == NULL);
    CHECK_OK(gf_dataset_read(set, 2, &sample, &check_err));
    CHECK_EQ(sample.kind, GF_SAMPLE_PIXELS);
    CHECK_EQ(sample.width, 2);
    CHECK_EQ(sample.height, 1);
    CHECK_EQ(sample.n_bytes, 6);
    CHECK(memcmp(sample.data, "\0\7\xff\0\7\xff", 6) == 0);
    gf_sample_release(&sample);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(npz__holds_pictures_as_floats_that_are_scaled)
{
    char *dir = check_temp_dir();
    npz_parts parts = plain_parts();
    gf_dataset *set = NULL;
    gf_sample sample;

    parts.dtype = GF_DTYPE_F64;
    parts.values[0] = -1.0;
    parts.values[1] = 0.25;
    parts.values[2] = 1.0;
    CHECK_OK(gf_dataset_open(write_npz(dir, &parts), NULL, NULL, &set, &check_err));
    CHECK_OK(gf_dataset_read(set, 1, &sample, &check_err));
    CHECK_EQ(sample.kind, GF_SAMPLE_SCALED);
    CHECK_EQ(sample.n_bytes, 6 * sizeof(float));
    CHECK_NEAR(((const float *)sample.data)[4], 0.25, 0);
    gf_sample_release(&sample);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(npz__refuses_floats_of_another_scale)
{
    npz_parts parts = plain_parts();

    parts.dtype = GF_DTYPE_F32;
    check_npz_refused(&parts, GF_EFORMAT, "features: floats from 0 to 255; expected bytes");
    parts.values[2] = 0.5;
    parts.values[1] = 1.0;
    check_npz_refused(&parts, GF_EFORMAT,
                      "floats from 0 to 1 look scaled to [0,1]; expected [-1,1]");
    parts.values[0] = -1.02;
    check_npz_refused(&parts, GF_EFORMAT, "floats from -1.02 to 1;");
    parts.values[0] = -1.005;
    check_npz(&parts, "npz 0 1: features[0]=1 features[1]=0 features[2]=1");
    parts.values[0] = (double)NAN;
    check_npz_refused(&parts, GF_EFORMAT, "features[0]: has a value that is not a number");
}

TEST(npz__takes_other_integers_that_are_bytes)
{
    npz_parts parts = plain_parts();

    parts.dtype = GF_DTYPE_I64;
    check_npz(&parts, "npz 0 1: features[0]=1 features[1]=0 features[2]=1");
    parts.values[1] = -1;
    check_npz_refused(&parts, GF_EFORMAT, "features[0]: has the value -1, expected 0 to 255");
    parts.dtype = GF_DTYPE_BOOL;
    check_npz_refused(&parts, GF_EFORMAT, "features: bool, expected uint8 or float32");
}

TEST(npz__takes_labels_as_numbers_one_hot_or_names)
{
    static const char *const names[] = {"rose", "iris", "rose"};
    npz_parts parts = plain_parts();

    parts.label_dtype = GF_DTYPE_F64;
    check_npz(&parts, "npz 0 1: features[0]=1 features[1]=0 features[2]=1");
    parts.label_dtype = GF_DTYPE_BOOL;
    check_npz(&parts, "npz 0 1: features[0]=1 features[1]=0 features[2]=1");
    parts.label_dtype = GF_DTYPE_I32;
    parts.n_label_dims = 2;
    parts.label_shape[1] = 1;
    check_npz(&parts, "npz 0 1: features[0]=1 features[1]=0 features[2]=1");
    parts.label_shape[1] = 2;
    memcpy(parts.labels, (double[]){0, 1, 1, 0, 0, 1}, 6 * sizeof(double));
    check_npz(&parts, "npz 0 1: features[0]=1 features[1]=0 features[2]=1");
    parts.n_label_dims = 0;
    parts.names = names;
    check_npz(&parts, "npz iris rose: features[0]=1 features[1]=0 features[2]=1");
}

TEST(npz__takes_class_names_from_the_file_or_the_caller)
{
    static const char *const classes[] = {"opera", "capitol", "none"};
    static const char *const names[] = {"opera", "none", "opera"};
    npz_parts parts = plain_parts();
    char *dir = check_temp_dir(), warnings[4096];
    gf_dataset *set = NULL;

    CHECK_OK(gf_dataset_open(write_npz(dir, &parts), &(gf_dataset_options){classes, 2, false}, NULL,
                             &set, &check_err));
    CHECK_STR(describe_set(set), "npz opera capitol: features[0]=1 features[1]=0 features[2]=1");
    gf_dataset_free(set);
    parts.classes = classes;
    parts.n_classes = 3;
    set = open_with(write_npz(dir, &parts), warnings);
    CHECK_STR(describe_set(set),
              "npz opera capitol none: features[0]=1 features[1]=0 features[2]=1");
    CHECK(strstr(warnings, "no picture of class 'none'") != NULL);
    gf_dataset_free(set);
    parts.n_label_dims = 0;
    parts.names = names;
    check_npz(&parts, "npz opera capitol none: features[0]=0 features[1]=2 features[2]=0");
    parts.n_classes = 2;
    check_npz_refused(&parts, GF_EFORMAT, "labels[1]: 'none' is none of the 2 classes");
    check_remove_dir(dir);
}

/* A name is looked up among all, so a file may not bring as many as it likes. */
TEST(npz__limits_named_classes_and_takes_the_first_of_a_name)
{
    static const char *const names[] = {"opera", "none", "opera"};
    static const char *const twice[] = {"none", "opera", "opera"};
    enum { N_CLASSES = 100001 };
    const char **many = gf__calloc(N_CLASSES, sizeof *many);
    npz_parts parts = plain_parts();

    parts.n_label_dims = 0;
    parts.names = names;
    parts.classes = twice;
    parts.n_classes = 3;
    check_npz(&parts, "npz none opera opera: features[0]=1 features[1]=0 features[2]=1");
    assert_non_null(many);
    for (size_t k = 0; k < N_CLASSES; k++)
        many[k] = k == 0 ? "none" : "opera";
    parts.classes = many;
    parts.n_classes = N_CLASSES;
    check_npz_refused(&parts, GF_ELIMIT, "classes: 100001 names, expected at most 100000");
    gf__free(many);
}

TEST(npz__says_what_is_wrong_with_labels)
{
    static const char *const classes[] = {"opera"};
    npz_parts parts = plain_parts();

    parts.labels[1] = -1;
    check_npz_refused(&parts, GF_EFORMAT, "labels[1]: is -1, expected a class number");
    parts.label_dtype = GF_DTYPE_F64;
    parts.labels[1] = 0.5;
    check_npz_refused(&parts, GF_EFORMAT, "labels[1]: is 0.5, expected a class number");
    parts.labels[1] = 100000;
    check_npz_refused(&parts, GF_EFORMAT,
                      "labels[1]: is 100000, expected a class number from 0 to 99999");
    parts = plain_parts();
    parts.label_shape[0] = 2;
    check_npz_refused(&parts, GF_ESHAPE, "labels: shape is (2), expected (3) as features");
    parts.label_shape[0] = 3;
    parts.label_shape[1] = 2;
    parts.n_label_dims = 2;
    memcpy(parts.labels, (double[]){0, 1, 1, 1, 0, 1}, 6 * sizeof(double));
    check_npz_refused(&parts, GF_EFORMAT, "labels[1]: not one-hot");
    parts = plain_parts();
    parts.classes = classes;
    parts.n_classes = 1;
    check_npz_refused(&parts, GF_EFORMAT,
                      "label of features[0] is 1, expected 0 to 0 (the classes named)");
}

TEST(npz__says_which_shape_it_expects)
{
    static const size_t first[] = {3, 3, 1, 2}, grey[] = {3, 4, 4}, flat[] = {3, 8};
    npz_parts parts = plain_parts();

    parts.shape = first;
    parts.n_dims = 4;
    check_npz_refused(&parts, GF_ESHAPE,
                      "features: shape is (3,3,1,2), expected (N,height,width,3); "
                      "channels come last");
    parts.shape = grey;
    parts.n_dims = 3;
    check_npz_refused(&parts, GF_ESHAPE, "shape is (3,4,4), expected (N,height,width,3); grey");
    parts.shape = flat;
    parts.n_dims = 1;
    check_npz_refused(&parts, GF_ESHAPE, "expected (N,height,width,3)");
}

TEST(npz__names_the_arrays_it_needs)
{
    char *dir = check_temp_dir(), path[1024];
    gf_tensor *tensor = tensor_of(GF_DTYPE_U8, (size_t[]){2}, 1, (double[]){1}, 1);
    const gf_npz_member members[2] = {{.name = "x_train", .tensor = tensor},
                                      {.name = "y_train", .tensor = tensor}};

    snprintf(path, sizeof path, "%s/set.npz", dir);
    CHECK_OK(gf_npz_save(path, members, 2, false, &check_err));
    check_refused(path, GF_EFORMAT,
                  "has the arrays x_train, y_train; expected 'features' and 'labels'");
    add_file(dir, "set.npz", "PK\3\4 broken", 11);
    check_refused(path, GF_EFORMAT, "zip");
    gf_tensor_free(tensor);
    check_remove_dir(dir);
}

TEST(npz__hash_depends_on_shape_and_type)
{
    static const size_t turned[] = {3, 2, 1, 3};
    char *dir = check_temp_dir(), hex[2][65];
    npz_parts parts = plain_parts();

    hash_of(write_npz(dir, &parts), hex[0]);
    parts.shape = turned;
    parts.n_dims = 4;
    hash_of(write_npz(dir, &parts), hex[1]);
    CHECK(strcmp(hex[0], hex[1]) != 0);
    check_remove_dir(dir);
}

enum { N_TIMES = 100, N_IN_NPZ = 3 };

typedef struct hashing {
    const gf_dataset *set;
    char hex[N_TIMES * N_IN_NPZ][65];
} hashing;

static void hash_item(void *user, size_t i, int thread)
{
    hashing *all = user;

    (void)thread;
    if (gf__dataset_item_hash(all->set, i % N_IN_NPZ, all->hex[i], NULL) != GF_OK)
        all->hex[i][0] = '\0';
}

TEST(npz__kept_hashes_are_right_in_every_thread)
{
    char *dir = check_temp_dir(), fresh[65];
    npz_parts parts = plain_parts();
    const char *path = write_npz(dir, &parts);
    hashing all = {0};
    gf_dataset *set = NULL, *other = NULL;
    gf__pool *pool = NULL;

    CHECK_OK(gf_dataset_open(path, NULL, NULL, &set, &check_err));
    CHECK_OK(gf_dataset_open(path, NULL, NULL, &other, &check_err));
    CHECK_EQ(gf_dataset_n_items(set), N_IN_NPZ);
    all.set = set;
    CHECK_OK(gf__pool_new(4, &pool, &check_err));
    gf__pool_run(pool, N_TIMES * N_IN_NPZ, hash_item, &all);
    gf__pool_free(pool);
    for (size_t i = 0; i < N_TIMES * N_IN_NPZ; i++) {
        if (i < N_IN_NPZ)
            CHECK_OK(gf__dataset_item_hash(other, i, fresh, &check_err));
        CHECK_STR(all.hex[i], i < N_IN_NPZ ? fresh : all.hex[i % N_IN_NPZ]);
    }
    gf_dataset_free(set);
    gf_dataset_free(other);
    check_remove_dir(dir);
}

TEST(dataset__survives_every_allocation_failure)
{
    static const char *const classes[] = {"opera", "capitol"};
    char *dir = check_temp_dir(), npz[1024], folder[1024];
    npz_parts parts = plain_parts();
    const char *paths[2] = {npz, folder};

    parts.classes = classes;
    parts.n_classes = 2;
    snprintf(npz, sizeof npz, "%s", write_npz(dir, &parts));
    snprintf(folder, sizeof folder, "%s/set", dir);
    add_files(folder, FILES("cat/1.jpg", "cat/2.txt", "dog/3.jpg", "empty/4.txt"));
    for (size_t i = 0; i < 2; i++) {
        gf_status st = GF_ENOMEM;
        gf_dataset *set = NULL;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__mem_fail_after(n);
            st = gf_dataset_open(paths[i], NULL, NULL, &set, NULL);
            gf__mem_fail_never();
            CHECK(st == GF_OK || (st == GF_ENOMEM && set == NULL));
        }
        CHECK_EQ(st, GF_OK);
        gf_dataset_free(set);
    }
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(npz__holds_pictures_as_bytes), UNIT(npz__holds_pictures_as_floats_that_are_scaled),
           UNIT(npz__refuses_floats_of_another_scale),
           UNIT(npz__takes_other_integers_that_are_bytes),
           UNIT(npz__takes_labels_as_numbers_one_hot_or_names),
           UNIT(npz__takes_class_names_from_the_file_or_the_caller),
           UNIT(npz__limits_named_classes_and_takes_the_first_of_a_name),
           UNIT(npz__says_what_is_wrong_with_labels), UNIT(npz__says_which_shape_it_expects),
           UNIT(npz__names_the_arrays_it_needs), UNIT(npz__hash_depends_on_shape_and_type),
           UNIT(npz__kept_hashes_are_right_in_every_thread),
           UNIT(dataset__survives_every_allocation_failure))
