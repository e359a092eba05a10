/* test_zoo_keras.c: .keras archives of every Keras that writes them become the same trunk, and an archive
 * that is damaged, foreign or made to hurt says so in one line. */
#include "tensor/tensor.h"
#include "zoo/keras/keras_priv.h"
#include "zoo_home.h"

#define GOLDEN "golden/zoo/keras/small_3_12.keras"

/* All were made of one network (tests/golden/make_keras_archive.py): same graph, same weights, so the same
 * identity. */
TEST(keras__every_version_gives_the_same_trunk)
{
    static const struct {
        const char *path, *origin;
    } files[] = {
        {"golden/zoo/keras/small_2_13.keras", "Keras 2.13.1 model (.keras), small_2_13.keras"},
        {"golden/zoo/keras/small_2_15.keras", "Keras 2.15.0 model (.keras), small_2_15.keras"},
        {GOLDEN, "Keras 3.12.0 model (.keras), small_3_12.keras"},
    };
    char *home = check_temp_dir();
    gf_trunk *h5 = import_fixture("golden/zoo/small.h5", "small", home);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        gf_trunk *trunk = import_fixture(files[i].path, "small", home);
        CHECK_STR(gf_trunk_sha256(trunk), gf_trunk_sha256(h5));
        CHECK_STR(gf_trunk_origin(trunk), files[i].origin);
        gf_trunk_free(trunk);
    }
    gf_trunk_free(h5);
    check_home_is_clean(home);
}

TEST(keras__groups_are_called_as_keras_calls_them)
{
    static const struct {
        const char *class_name;
        size_t n_uses;
        const char *group;
    } steps[] = {{"InputLayer", 1, "input_layer"},
                 {"Conv2D", 1, "conv2d"},
                 {"Conv2D", 1, "conv2d_1"},
                 {"DepthwiseConv2D", 1, "depthwise_conv2d"},
                 {"Conv2D", 1, "conv2d_2"},
                 {"GlobalAveragePooling2D", 1, "global_average_pooling2d"},
                 {"ReLU", 1, "re_lu"},
                 {"BatchNormalization", 2, "batch_normalization"},
                 {"BatchNormalization", 2, "batch_normalization_2"},
                 {"BatchNormalization", 2, "batch_normalization_4"},
                 {"ZeroPadding2D", 1, "zero_padding2d"},
                 {"Dense", 1, "dense"}};
    gf__keras_groups groups = {0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char *name = gf__keras_group_next(&groups, steps[i].class_name, steps[i].n_uses);
        CHECK_STR(name, steps[i].group);
        gf__free(name);
    }
    gf__keras_groups_free(&groups);
}

/* ---- archives that are wrong ----------------------------------------------------------------- */

/* The golden archive with a piece of a member exchanged, or a member left out or in the place of another. */
typedef struct change {
    const char *from, *to; /* in config.json */
    const char *drop;
    const char *replace;
    const uint8_t *by;
    size_t n_by; /* bytes, said to be these many */
} change;

typedef struct part {
    uint8_t *bytes;
    size_t n;
    const uint8_t *at;
} part;

static gf_status produce(void *user, uint8_t *out, size_t n_bytes, gf_error *err)
{
    part *p = user;
    (void)err;
    memcpy(out, p->at, n_bytes);
    p->at += n_bytes;
    return GF_OK;
}

static part read_part(gf__archive *zip, size_t i, const change *how)
{
    part p = {0};
    const char *name = gf__archive_name_at(zip, i);
    if (how->replace != NULL && strcmp(name, how->replace) == 0) {
        p.bytes = gf__malloc(how->n_by);
        memcpy(p.bytes, how->by, how->n_by);
        p.n = how->n_by;
    } else {
        CHECK_OK(gf__archive_begin(zip, i, &p.n, &check_err));
        p.bytes = gf__calloc(p.n + 1, 1);
        CHECK_OK(gf__archive_read(zip, p.bytes, p.n, &check_err));
        gf__archive_end(zip);
    }
    if (how->from != NULL && strcmp(name, "config.json") == 0) {
        const char *text = (char *)p.bytes, *at = strstr(text, how->from);
        if (at == NULL)
            fail_msg("config.json has no %s: %s", how->from, text);
        char *changed = gf__asprintf("%.*s%s%s", (int)(at - text), text, how->to,
                                     at + strlen(how->from));
        gf__free(p.bytes);
        p.bytes = (uint8_t *)changed;
        p.n = strlen(changed);
    }
    p.at = p.bytes;
    return p;
}

static void write_changed(const char *path, const change *how)
{
    gf__mapping file;
    gf__archive *zip = NULL;
    gf__archive_entry entries[8];
    part parts[8];
    size_t n = 0;
    CHECK_OK(gf__map_file(check_fixture(GOLDEN), &file, &check_err));
    CHECK_OK(gf__archive_open(file.data, file.size, &zip, &check_err));
    for (size_t i = 0; i < gf__archive_n_members(zip); i++) {
        const char *name = gf__archive_name_at(zip, i);
        if (how->drop != NULL && strcmp(name, how->drop) == 0)
            continue;
        parts[n] = read_part(zip, i, how);
        entries[n] = (gf__archive_entry){(char *)(uintptr_t)name, parts[n].n, produce, &parts[n]};
        n++;
    }
    CHECK_OK(gf__archive_write(path, entries, n, true, &check_err));
    for (size_t i = 0; i < n; i++)
        gf__free(parts[i].bytes);
    gf__archive_close(zip);
    gf__unmap(&file);
}

static gf_status import_changed(const change *how)
{
    char *home = check_temp_dir(), *path = gf__path_join(home, "changed.keras");
    gf_error err;
    write_changed(path, how);
    const gf_status st = gf_zoo_import(path, "small", home, NULL, NULL, &err);
    if (st != GF_OK)
        assert_non_null(strstr(err.message, "changed.keras: "));
    gf__free(path);
    check_home_is_clean(home);
    check_err = err; /* which the calls before have used, too */
    return st;
}

#define CONFIG(a, b) (&(change){.from = a, .to = b})

TEST(keras__an_archive_may_be_packed_and_come_without_metadata)
{
    CHECK_OK(import_changed(&(change){.drop = "metadata.json"}));
}

TEST(keras__what_is_missing_is_named)
{
    CHECK_FAILS(GF_EFORMAT, "has no config.json: not a model that Keras saved",
                import_changed(&(change){.drop = "config.json"}));
    CHECK_FAILS(GF_EFORMAT, "has no model.weights.h5",
                import_changed(&(change){.drop = "model.weights.h5"}));
}

static const uint8_t own_metadata[] =
    "{\"keras_version\": \"3.0.0\", \"graft\": {\"classes\": [\"rose\", \"tulip\", \"lily\"], "
    "\"preprocessing\": {\"scale\": 0.25, \"shift\": -2}}}";

TEST(keras__what_graft_wrote_about_it_comes_back)
{
    char *home = check_temp_dir(), *path = gf__path_join(home, "changed.keras");
    gf__checkpoint checkpoint = {0};
    write_changed(
        path,
        &(change){.replace = "metadata.json", .by = own_metadata, .n_by = sizeof own_metadata - 1});
    CHECK_OK(gf__keras_read(path, home, NULL, &checkpoint, &check_err));
    CHECK_EQ(checkpoint.n_classes, 3);
    CHECK_STR(checkpoint.class_names[2], "lily");
    CHECK(checkpoint.has_input && checkpoint.scale == 0.25F && checkpoint.shift == -2.0F);
    gf__checkpoint_free(&checkpoint);
    gf__free(path);
    check_home_is_clean(home);

    static const uint8_t wrong[] =
        "{\"graft\": {\"preprocessing\": {\"scale\": 0, \"shift\": -2}}}";
    CHECK_FAILS(GF_EFORMAT, "metadata.json: scales the input by 0",
                import_changed(
                    &(change){.replace = "metadata.json", .by = wrong, .n_by = sizeof wrong - 1}));
    CHECK_FAILS(GF_EFORMAT, "metadata.json: JSON",
                import_changed(&(change){.replace = "metadata.json", .by = wrong, .n_by = 20}));
}

TEST(keras__networks_that_cannot_be)
{
    /* A cycle: the convolution takes what follows it. */
    CHECK_FAILS(GF_EFORMAT, "is computed from itself (a cycle)",
                import_changed(CONFIG("\"keras_history\": [\"pad\", 0, 0]",
                                      "\"keras_history\": [\"norm\", 0, 0]")));
    CHECK_FAILS(GF_EFORMAT, "its input \"nobody\" is missing",
                import_changed(CONFIG("\"keras_history\": [\"pad\", 0, 0]",
                                      "\"keras_history\": [\"nobody\", 0, 0]")));
    CHECK_FAILS(GF_EUNSUPPORTED, "takes a second output",
                import_changed(CONFIG("\"keras_history\": [\"pad\", 0, 0]",
                                      "\"keras_history\": [\"pad\", 0, 1]")));
    CHECK_FAILS(GF_EFORMAT, "config.json: JSON, line 1",
                import_changed(CONFIG("\"layers\":", "\"layers\"")));
}

TEST(keras__weights_that_do_not_fit)
{
    CHECK_FAILS(GF_ESHAPE, "model.weights.h5: layer \"predictions\"",
                import_changed(CONFIG("\"units\": 3", "\"units\": 77")));
    CHECK_FAILS(GF_EMISMATCH, "layer \"conv\" has 2 weights, its group layers/conv2d has 1",
                import_changed(CONFIG("\"use_bias\": false", "\"use_bias\": true")));
    CHECK_FAILS(GF_EMISMATCH,
                "layer \"norm\" has 3 weights, its group layers/batch_normalization has at least 4",
                import_changed(CONFIG("\"scale\": true", "\"scale\": false")));
}

TEST(keras__what_only_an_archive_can_say_is_refused)
{
    CHECK_FAILS(
        GF_EUNSUPPORTED,
        "\"pad\": the class ZeroPadding2D is not Keras' own but mine>ZeroPadding2D",
        import_changed(CONFIG("\"registered_name\": null, \"build_config\": {\"input_shape\": "
                              "[null, 16, 16, 3]}, \"name\": \"pad\"",
                              "\"registered_name\": \"mine>ZeroPadding2D\", \"name\": "
                              "\"pad\"")));
    CHECK_FAILS(GF_EUNSUPPORTED, "is not Keras' own but os",
                import_changed(CONFIG("\"module\": \"keras.layers\"", "\"module\": \"os\"")));
    CHECK_FAILS(GF_EUNSUPPORTED, "is not Keras' own but unknown",
                import_changed(CONFIG("\"module\": \"keras.layers\"", "\"module\": null")));
    CHECK_FAILS(GF_EUNSUPPORTED, "dtype is int8_from_float32; only float ones can be run",
                import_changed(CONFIG("\"config\": {\"name\": \"float32\"}",
                                      "\"config\": {\"name\": \"int8_from_float32\"}")));
    CHECK_FAILS(
        GF_EUNSUPPORTED, "is called with training",
        import_changed(CONFIG("\"kwargs\": {\"mask\": null}", "\"kwargs\": {\"training\": true}")));
    CHECK_FAILS(GF_EUNSUPPORTED, "is called with something that is no layer's output",
                import_changed(CONFIG("\"args\": [{", "\"args\": [5, {")));
    CHECK_FAILS(GF_EUNSUPPORTED, "layer \"pad\" is a model of its own",
                import_changed(CONFIG("\"config\": {\"name\": \"pad\",",
                                      "\"config\": {\"name\": \"pad\", \"layers\": [],")));
    CHECK_FAILS(
        GF_EUNSUPPORTED, "the class Lambda is not one that can be run",
        import_changed(CONFIG("\"class_name\": \"ZeroPadding2D\"", "\"class_name\": \"Lambda\"")));
}

/* 64 MB of zeros are 64 KB in the zip. */
TEST(keras__bombs_are_not_unpacked)
{
    const size_t n = (size_t)64 << 20;
    uint8_t *zeros = gf__calloc(n, 1);
    CHECK_FAILS(GF_ELIMIT, "config.json: has 67108864 bytes, at most 16777216 are read",
                import_changed(&(change){.replace = "config.json", .by = zeros, .n_by = n}));
    CHECK_FAILS(GF_EFORMAT, "model.weights.h5: is not an HDF5 file (no signature in front)",
                import_changed(&(change){.replace = "model.weights.h5", .by = zeros, .n_by = n}));
    gf__free(zeros);
}

TEST(keras__other_files_of_the_machine_stay_closed)
{
    char *home = check_temp_dir();
    CHECK_FAILS(GF_EFORMAT, "the values of \"dense/vars/0\" are in another file",
                gf_zoo_import(check_fixture("golden/zoo/keras/external_data.keras"), "small", home,
                              NULL, NULL, &check_err));
    CHECK_FAILS(GF_EFORMAT, "the values of \"dense/vars/0\" are in another file",
                gf_zoo_import(check_fixture("golden/zoo/keras/virtual_data.keras"), "small", home,
                              NULL, NULL, &check_err));
    CHECK_FAILS(GF_EMISMATCH, "layer \"dense\" has 1 weights, its group layers/dense has 0",
                gf_zoo_import(check_fixture("golden/zoo/keras/external_link.keras"), "small", home,
                              NULL, NULL, &check_err));
    check_home_is_clean(home);
}

TEST(keras__damage_anywhere_is_told)
{
    char *bytes = NULL, *home = check_temp_dir(), *path = gf__path_join(home, "file.keras");
    size_t size;
    CHECK_OK(gf__read_file(check_fixture(GOLDEN), 1 << 20, &bytes, &size, &check_err));
    for (size_t n = 4; n < size; n += size / 12) {
        CHECK_OK(gf__write_file(path, bytes, n, &check_err));
        CHECK(gf_zoo_import(path, "small", home, NULL, NULL, &check_err) != GF_OK);
    }
    for (size_t at = 4; at < size; at += size / 40) { /* or it hit nothing that matters */
        const char was = bytes[at];
        bytes[at] = (char)(was ^ 0xff);
        CHECK_OK(gf__write_file(path, bytes, size, &check_err));
        (void)gf_zoo_import(path, "small", home, NULL, NULL, &check_err);
        bytes[at] = was;
    }
    gf__free(bytes);
    gf__free(path);
    check_home_is_clean(home);
}

TEST(keras__import_survives_every_allocation_failure)
{
    char *home = check_temp_dir();
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n += 61) {
        gf__mem_fail_after(n);
        st = gf_zoo_import(check_fixture(GOLDEN), "small", home, NULL, NULL, &check_err);
        gf__mem_fail_never();
        if (st != GF_OK && st != GF_ENOMEM)
            fail_msg("allocation %zu: %s: %s", n, gf_status_name(st), check_err.message);
    }
    check_home_is_clean(home);
}

TESTS_MAIN(UNIT(keras__every_version_gives_the_same_trunk),
           UNIT(keras__groups_are_called_as_keras_calls_them),
           UNIT(keras__an_archive_may_be_packed_and_come_without_metadata),
           UNIT(keras__what_is_missing_is_named), UNIT(keras__what_graft_wrote_about_it_comes_back),
           UNIT(keras__networks_that_cannot_be), UNIT(keras__weights_that_do_not_fit),
           UNIT(keras__what_only_an_archive_can_say_is_refused),
           UNIT(keras__bombs_are_not_unpacked), UNIT(keras__other_files_of_the_machine_stay_closed),
           UNIT(keras__damage_anywhere_is_told),
           UNIT(keras__import_survives_every_allocation_failure))
