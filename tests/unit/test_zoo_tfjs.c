/* test_zoo_tfjs.c: TensorFlow.js models: JavaScript literals, shards, quantised weights, and the
 * npm package. */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "zoo/tfjs/tfjs_priv.h"

/* ---- JavaScript literals ---- */

static void check_js(const char *js, const char *want)
{
    gf__buffer json = {0};
    size_t n_used;
    CHECK_OK(gf__js_to_json(js, strlen(js), &json, &n_used, &check_err));
    CHECK_STR(json.data, want);
    gf__buffer_free(&json);
}

static void check_bad_js(const char *js, gf_status want, const char *part)
{
    gf__buffer json = {0};
    CHECK_FAILS(want, part, gf__js_to_json(js, strlen(js), &json, NULL, &check_err));
    gf__buffer_free(&json);
}

TEST(js__literals_become_json)
{
    check_js("{name:\"conv2d_1\",trainable:!1,on:!0}",
             "{\"name\":\"conv2d_1\",\"trainable\":false,\"on\":true}");
    check_js("{min:-.76,max:5.,e:1e-5,E:2E+3,hex:0x1f,zero:0,plus:+1}",
             "{\"min\":-0.76,\"max\":5.0,\"e\":1e-5,\"E\":2e3,\"hex\":31,\"zero\":0,\"plus\":1}");
    check_js("[null,void 0,[1,2,],{}]", "[null,null,[1,2],{}]");
    check_js("{0:'Drawing', 'a b' : \"it's\",$_:[ ] }",
             "{\"0\":\"Drawing\",\"a b\":\"it's\",\"$_\":[]}");
    check_js("'\\n\\x41\\u00e9\\ud83d\\ude00\\\\\\'\"'",
             "\"\\u000aA\xc3\xa9\xf0\x9f\x98\x80\\\\'\\\"\"");
}

TEST(js__anything_to_evaluate_is_refused_with_its_place)
{
    check_bad_js("{a:f()}", GF_EFORMAT, "'f' at 3, expected a value");
    check_bad_js("{a:1+1}", GF_EFORMAT, "'+' at 4, expected ',' or '}'");
    check_bad_js("[`x`]", GF_EFORMAT, "'`' at 1");
    check_bad_js("{a}", GF_EFORMAT, "expected ':'");
    check_bad_js("[010]", GF_EFORMAT, "octal number at 1");
    check_bad_js("[1e]", GF_EFORMAT, "an exponent");
    check_bad_js("[-]", GF_EFORMAT, "a digit");
    check_bad_js("[0x]", GF_EFORMAT, "hexadecimal");
    check_bad_js("[truer]", GF_EFORMAT, "the end of a value");
    check_bad_js("['a\nb']", GF_EFORMAT, "the end of a string");
    check_bad_js("['\\q']", GF_EFORMAT, "an escape");
    check_bad_js("{a:1", GF_EFORMAT, "ends early");
    check_bad_js("", GF_EFORMAT, "ends early");
    check_bad_js("[,1]", GF_EFORMAT, "',' at 1");
    check_bad_js("[\x01]", GF_EFORMAT, "byte 0x01 at 1");
}

TEST(js__depth_is_limited)
{
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 199);
    deep[399] = '\0';
    check_bad_js(deep, GF_ELIMIT, "more than 64 levels");
}

TEST(js__find_passes_over_other_uses_of_the_key)
{
    size_t offset;
    const char *module = "module.exports=a();c={exports:{}};n.exports = {b:1}";
    CHECK_OK(gf__js_find(module, strlen(module), ".exports", &offset, &check_err));
    CHECK_STR(module + offset, "{b:1}");
    const char *classes = "exports.NSFW_CLASSES = void 0;\nexports.NSFW_CLASSES = {0:'a'}";
    CHECK_OK(gf__js_find(classes, strlen(classes), "NSFW_CLASSES", &offset, &check_err));
    CHECK_STR(classes + offset, "{0:'a'}");
    CHECK_FAILS(GF_EFORMAT, "no \".exports = {...}\"",
                gf__js_find("abc", 3, ".exports", &offset, &check_err));
}

/* ---- models made up here ---- */

#define TOPOLOGY                                                                              \
    "\"modelTopology\":{\"class_name\":\"Sequential\",\"config\":[{\"class_name\":\"Dense\"," \
    "\"config\":{\"name\":\"d\",\"units\":2,\"batch_input_shape\":[null,2]}}]}"
#define KERNEL "{\"name\":\"d/kernel\",\"shape\":[2,2],\"dtype\":\"float32\"}"
#define BIAS                                                                     \
    "{\"name\":\"d/bias\",\"shape\":[2],\"dtype\":\"float32\",\"quantization\":" \
    "{\"dtype\":\"uint8\",\"scale\":0.5,\"min\":-1}}"
#define MANIFEST(paths, weights) \
    "\"weightsManifest\":[{\"paths\":[" paths "],\"weights\":[" weights "]}]"
#define DOCUMENT(paths, weights) "{" TOPOLOGY "," MANIFEST(paths, weights) "}"

static void write_in(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(gf__write_file(path, bytes, size, &check_err));
}

/* model.json with one shard of 18 zero bytes beside it: 4 floats and 2 bytes. */
static gf_status import_document(const char *document, size_t shard_bytes)
{
    static const char zeros[64];
    char *dir = check_temp_dir();
    write_in(dir, "model.json", document, strlen(document));
    write_in(dir, "a.bin", zeros, shard_bytes);
    const gf_status st = gf_zoo_import(dir, "made_up", dir, NULL, NULL, &check_err);
    char trunk[4200];
    snprintf(trunk, sizeof trunk, "%s/trunks/made_up.safetensors", dir);
    CHECK_EQ(access(trunk, F_OK) == 0, st == GF_OK); /* nothing half-written */
    check_remove_dir(dir);
    return st;
}

TEST(tfjs__smallest_document_is_imported)
{
    CHECK_OK(import_document(DOCUMENT("\"a.bin\"", KERNEL "," BIAS), 18));
}

TEST(tfjs__outputs_without_end_are_refused)
{
    CHECK_FAILS(GF_ELIMIT, "has 108000000 outputs, at most 100000 are named",
                import_document("{\"modelTopology\":{\"class_name\":\"Sequential\",\"config\":["
                                "{\"class_name\":\"Flatten\",\"config\":{\"name\":\"f\","
                                "\"batch_input_shape\":[null,6000,6000,3]}},"
                                "{\"class_name\":\"Activation\",\"config\":{\"name\":\"a\","
                                "\"activation\":\"softmax\"}}]},\"weightsManifest\":[]}",
                                0));
}

TEST(tfjs__sizes_must_agree_to_the_byte)
{
    CHECK_FAILS(GF_EFORMAT, "the shards hold only 17 bytes, the weights need 18",
                import_document(DOCUMENT("\"a.bin\"", KERNEL "," BIAS), 17));
    CHECK(import_document(DOCUMENT("\"a.bin\"", KERNEL "," BIAS), 19) != GF_OK);
    CHECK(import_document(DOCUMENT("\"a.bin\",\"a.bin\"", KERNEL "," BIAS), 18) != GF_OK);
    CHECK(import_document(DOCUMENT("", KERNEL "," BIAS), 18) != GF_OK);
}

TEST(tfjs__weights_and_layers_must_be_each_others)
{
    CHECK_FAILS(GF_EFORMAT, "layer \"d\": its bias is not in weightsManifest",
                import_document(DOCUMENT("\"a.bin\"", KERNEL), 16));
    CHECK_FAILS(GF_EMISMATCH, "weight \"e/kernel\" belongs to no layer",
                import_document(DOCUMENT("\"a.bin\"", "{\"name\":\"e/kernel\",\"shape\":[2,2],"
                                                      "\"dtype\":\"float32\"}"),
                                16));
    CHECK_FAILS(GF_EFORMAT, "weight \"d/kernel\" is there twice",
                import_document(DOCUMENT("\"a.bin\"", KERNEL "," KERNEL), 32));
    CHECK_FAILS(GF_ESHAPE, "layer \"d\": kernel has shape (4), expected (2,2)",
                import_document(DOCUMENT("\"a.bin\"", "{\"name\":\"d/kernel\",\"shape\":[4],"
                                                      "\"dtype\":\"float32\"}"),
                                16));
    CHECK_FAILS(GF_ENOTFOUND, "has no weight \"gamma\"",
                import_document(DOCUMENT("\"a.bin\"", "{\"name\":\"d/gamma\",\"shape\":[4],"
                                                      "\"dtype\":\"float32\"}"),
                                16));
}

TEST(tfjs__shards_outside_the_folder_are_refused)
{
    CHECK_FAILS(GF_EFORMAT, "\"../a.bin\" is not a file beside",
                import_document(DOCUMENT("\"../a.bin\"", KERNEL), 16));
    CHECK_FAILS(GF_EFORMAT, "is not a file beside",
                import_document(DOCUMENT("\"/etc/passwd\"", KERNEL), 16));
    CHECK_FAILS(GF_EFORMAT, "is not a file beside", import_document(DOCUMENT("7", KERNEL), 16));
    CHECK_FAILS(GF_ENOTFOUND, "b.bin", import_document(DOCUMENT("\"b.bin\"", KERNEL), 16));
}

TEST(tfjs__wrong_entries_are_refused)
{
    CHECK_FAILS(GF_EUNSUPPORTED, "weight \"d/kernel\" is int32, expected float32",
                import_document(DOCUMENT("\"a.bin\"", "{\"name\":\"d/kernel\",\"shape\":[2,2],"
                                                      "\"dtype\":\"int32\"}"),
                                16));
    CHECK_FAILS(GF_EUNSUPPORTED, "is quantised to \"uint4\"",
                import_document(DOCUMENT("\"a.bin\"",
                                         "{\"name\":\"d/kernel\",\"shape\":[2,2],\"dtype\":"
                                         "\"float32\",\"quantization\":{\"dtype\":\"uint4\"}}"),
                                16));
    CHECK_FAILS(GF_EFORMAT, "weight \"d/kernel\": scale",
                import_document(DOCUMENT("\"a.bin\"",
                                         "{\"name\":\"d/kernel\",\"shape\":[2,2],\"dtype\":"
                                         "\"float32\",\"quantization\":{\"dtype\":\"uint8\"}}"),
                                16));
    static const char *const shapes[] = {
        "[-1,2]",      "[0]", "7", "[9999999999,9999999999]", "[1.5]", "[1,1,1,1,1,1,1,1,1]",
        "[1073741824]"};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        char document[1024];
        snprintf(document, sizeof document,
                 "{" TOPOLOGY ",\"weightsManifest\":[{\"paths\":[],\"weights\":"
                 "[{\"name\":\"d/kernel\",\"shape\":%s,\"dtype\":\"float32\"}]}]}",
                 shapes[i]);
        CHECK_FAILS(GF_EFORMAT, "weight \"d/kernel\" has no usable shape",
                    import_document(document, 16));
    }
    CHECK_FAILS(GF_EFORMAT, "modelTopology", import_document("{}", 16));
    CHECK_FAILS(GF_EFORMAT, "weightsManifest", import_document("{" TOPOLOGY "}", 16));
    CHECK_FAILS(GF_EUNSUPPORTED, "is a TensorFlow.js graph model",
                import_document("{\"modelTopology\":{\"node\":[]}}", 16));
}

TEST(tfjs__what_is_no_checkpoint_says_what_one_is)
{
    char *dir = check_temp_dir();
    char path[4200];
    CHECK_FAILS(GF_ENOTFOUND, "no checkpoint in this folder: neither saved_model.pb, model.json",
                gf_zoo_import(dir, "x", dir, NULL, NULL, &check_err));
    write_in(dir, "photo.jpg", "\xff\xd8\xff\xe0", 4);
    snprintf(path, sizeof path, "%s/photo.jpg", dir);
    CHECK_FAILS(GF_EFORMAT, "is not a checkpoint that can be read",
                gf_zoo_import(path, "x", dir, NULL, NULL, &check_err));
    write_in(dir, "model.min.js", "alert(1)", 8);
    CHECK_FAILS(GF_EFORMAT, "model.min.js: no \".exports = {...}\"",
                gf_zoo_import(dir, "x", dir, NULL, NULL, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere/model.json",
                gf_zoo_import("/nowhere/model.json", "x", dir, NULL, NULL, &check_err));
    check_remove_dir(dir);
}

/* A pipe has no writer: to open it would wait for one. A wrong ending hides no signature. */
TEST(import__looks_at_bytes_and_waits_for_nobody)
{
    static const struct {
        const char *name, *bytes;
        size_t n_bytes;
        const char *message;
    } cases[] = {
        {"empty.onnx", "", 0, "is an empty file"},
        {"zip.onnx", "PK\x03\x04 and no more", 16, "a zip file without its directory"},
        {"zip.pb", "PK\x03\x04 and no more", 16, "a zip file without its directory"},
        {"tensors.pb", "\x02\0\0\0\0\0\0\0{}", 10, "holds no tensors"},
        {"graph.pb", "\n{cut short", 11, "is no protobuf message GraphDef"},
    };
    char *dir = check_temp_dir(), path[4200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_in(dir, cases[i].name, cases[i].bytes, cases[i].n_bytes);
        snprintf(path, sizeof path, "%s/%s", dir, cases[i].name);
        CHECK_FAILS(GF_EFORMAT, cases[i].message,
                    gf_zoo_import(path, "x", dir, NULL, NULL, &check_err));
    }
    snprintf(path, sizeof path, "%s/pipe.onnx", dir);
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_FAILS(GF_EINVAL, "expected a file, found a device or pipe",
                gf_zoo_import(path, "x", dir, NULL, NULL, &check_err));
    check_remove_dir(dir);
}

/* ---- fixtures (tests/golden/make_zoo.py) ---- */

/* The quantised file was made from weights w + k / 1024: what comes back is off by half a step at
 * most. */
TEST(tfjs__quantised_weights_are_within_half_a_step)
{
    char *home = check_temp_dir();
    gf_trunk *trunk = NULL;
    size_t w = 0;
    CHECK_OK(gf_zoo_import(check_fixture("golden/zoo/small_quantised/model.json"), "small", home,
                           NULL, NULL, &check_err));
    CHECK_OK(gf_trunk_load(home, "small", &trunk, &check_err));
    CHECK_STR(gf_trunk_origin(trunk),
              "TensorFlow.js layers-model, uint8/uint16/float16/float32 weights, model.json");
    for (size_t i = 0; i < gf_graph_n_layers(gf_trunk_graph(trunk)); i++) {
        const gf_layer *layer = gf_graph_layer_at(gf_trunk_graph(trunk), (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++, w++) {
            const gf_tensor *tensor = gf__layer_weight_at(layer, k);
            const double range = (double)(gf_tensor_n_values(tensor) - 1) / 1024.0;
            const double steps[4] = {range / 255, range / 65535, 16.0 / 2048, 0};
            for (size_t v = 0; v < gf_tensor_n_values(tensor); v++)
                CHECK_NEAR((double)gf_tensor_f32(tensor)[v], (double)w + (double)v / 1024.0,
                           steps[w % 4] / 2 + 2e-6);
        }
    }
    gf_trunk_free(trunk);
    check_remove_dir(home);
}

static bool stop_at_once(void *user, const gf_progress *progress)
{
    (void)user;
    return strcmp(progress->stage, "import") != 0;
}

TEST(tfjs__import_can_be_stopped)
{
    char *home = check_temp_dir();
    const gf_observer obs = {.progress = stop_at_once};
    CHECK_FAILS(GF_ECANCELED, "",
                gf_zoo_import(check_fixture("golden/zoo/small_float32"), "small", home, NULL, &obs,
                              &check_err));
    check_remove_dir(home);
}

TEST(tfjs__import_survives_every_allocation_failure)
{
    char *home = check_temp_dir();
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n += 7) {
        gf__mem_fail_after(n);
        st = gf_zoo_import(check_fixture("golden/zoo/small_quantised"), "small", home, NULL, NULL,
                           &check_err);
        gf__mem_fail_never();
        if (st != GF_OK && st != GF_ENOMEM)
            fail_msg("allocation %zu: %s: %s", n, gf_status_name(st), check_err.message);
    }
    check_remove_dir(home);
}

/* ---- the npm package that make test fetches ---- */

static const char *npm_package(void)
{
    const char *path = getenv("GRAFT_TEST_NPM");
    if (path == NULL || access(path, F_OK) != 0)
        fail_msg("$GRAFT_TEST_NPM is no unpacked npm package nsfwjs; run make test");
    return path;
}

TEST(npm__inception_is_imported_with_its_classes)
{
    const char *path = npm_package();
    char sha256[65];
    gf_trunk *trunk = NULL;
    const char *const names[] = {"Drawing", "Hentai", "Neutral", "Porn", "Sexy"};
    char *home = check_temp_dir();
    CHECK_OK(gf_zoo_import(path, "inception_v3", home, sha256, NULL, &check_err));
    CHECK_OK(gf_trunk_load(home, "inception_v3", &trunk, &check_err));
    CHECK_STR(gf_trunk_sha256(trunk), sha256);
    CHECK_STR(gf_trunk_origin(trunk), "TensorFlow.js layers-model, uint8 weights, model.min.js");
    CHECK_EQ(gf_trunk_n_classes(trunk), 5);
    for (size_t k = 0; k < 5; k++)
        CHECK_STR(gf_trunk_class_at(trunk, k), names[k]);
    CHECK_OK(gf__trunk_verify(trunk, &check_err));

    /* The first 311 layers are the table's, names included: this file's Keras counts as ours does.
     */
    gf_graph *table = NULL;
    CHECK_OK(gf__inception_v3_layers(0, &table, &check_err));
    CHECK_EQ(gf_graph_n_layers(gf_trunk_graph(trunk)), 318);
    for (ptrdiff_t i = 0; i < 311; i++)
        CHECK_STR(gf_layer_name(gf_graph_layer_at(gf_trunk_graph(trunk), i)),
                  gf_layer_name(gf_graph_layer_at(table, i)));

    const char *layer = NULL;
    bool needs_pool = false;
    CHECK_OK(
        gf__zoo_resolve_cut(gf_trunk_graph(trunk), "avg_pool", &layer, &needs_pool, &check_err));
    CHECK_STR(layer, "mixed10");
    CHECK(needs_pool);
    gf_graph_free(table);
    gf_trunk_free(trunk);
    check_remove_dir(home);
}

TEST(npm__another_network_under_the_name_is_refused_by_layer)
{
    const char *path = npm_package();
    char mobilenet[5000];
    char *home = check_temp_dir();
    snprintf(mobilenet, sizeof mobilenet, "%s/dist/models/mobilenet_v2", path);
    CHECK_FAILS(GF_EMISMATCH,
                "is not Inception-v3: layer 1 \"Conv1_pad\" is ZeroPadding2D 0,1 0,1, expected "
                "Conv2D 3x3",
                gf_zoo_import(mobilenet, "inception_v3", home, NULL, NULL, &check_err));
    CHECK_OK(gf_zoo_import(mobilenet, "mobilenet_v2", home, NULL, NULL, &check_err));
    snprintf(mobilenet, sizeof mobilenet, "%s/dist/models/mobilenet_v2_mid", path);
    CHECK_FAILS(GF_EUNSUPPORTED, "graph model",
                gf_zoo_import(mobilenet, "mid", home, NULL, NULL, &check_err));
    check_remove_dir(home);
}

TESTS_MAIN(UNIT(js__literals_become_json), UNIT(js__anything_to_evaluate_is_refused_with_its_place),
           UNIT(js__depth_is_limited), UNIT(js__find_passes_over_other_uses_of_the_key),
           UNIT(tfjs__smallest_document_is_imported), UNIT(tfjs__outputs_without_end_are_refused),
           UNIT(tfjs__sizes_must_agree_to_the_byte),
           UNIT(tfjs__weights_and_layers_must_be_each_others),
           UNIT(tfjs__shards_outside_the_folder_are_refused), UNIT(tfjs__wrong_entries_are_refused),
           UNIT(tfjs__what_is_no_checkpoint_says_what_one_is),
           UNIT(import__looks_at_bytes_and_waits_for_nobody),
           UNIT(tfjs__quantised_weights_are_within_half_a_step), UNIT(tfjs__import_can_be_stopped),
           UNIT(tfjs__import_survives_every_allocation_failure),
           UNIT(npm__inception_is_imported_with_its_classes),
           UNIT(npm__another_network_under_the_name_is_refused_by_layer))
