/* PyTorch files: both forms give the same tensors, what is more than tensors is refused, damage is told;
 * EfficientNet-Lite0 by its table. */
#include <unistd.h>

#include "check.h"
#include "zoo/torch/torch_priv.h"

static const float counted[] = {0, 1, 2, 3, 4, 5}, turned[] = {0, 3, 1, 4, 2, 5},
                   halves[] = {0.5f, 1, 1.5f, 2};

static const char *fixture(const char *name)
{
    static char path[64];
    snprintf(path, sizeof path, "golden/zoo/torch/%s", name);
    return check_fixture(path);
}

static void check_tensor(const gf__torch_file *file, const char *name, const float *want, size_t n,
                         size_t rows)
{
    const gf_tensor *tensor = gf__torch_find(file, name);
    assert_non_null(tensor);
    CHECK_EQ(gf_tensor_n_values(tensor), n);
    CHECK_EQ(gf_tensor_shape(tensor)[0], rows);
    assert_memory_equal(gf_tensor_f32(tensor), want, n * sizeof *want);
}

TEST(torch__both_forms_nested_or_inside_a_package_give_the_same_tensors)
{
    const char *const names[] = {"new.pth", "old.pth", "nested.pth", "wheel.whl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        gf__torch_file file = {0};
        CHECK_OK(gf__torch_open(fixture(names[i]), &file, &check_err));
        CHECK_EQ(file.n_tensors, 5);
        CHECK_EQ(file.is_zip, i == 0 || i == 2);
        check_tensor(&file, "weight", counted, 6, 2);
        check_tensor(&file, "turned", turned, 6, 3);
        check_tensor(&file, "half", halves, 4, 4);
        check_tensor(&file, "shifted", halves + 2, 2, 2);
        CHECK(gf__torch_find(&file, "count") == NULL); /* whole numbers */
        CHECK(gf__torch_find(&file, "nothing") == NULL);
        gf__torch_file_free(&file);
    }
}

/* ".pt" is another habit for the same two forms: what is in the file decides. */
TEST(torch__files_called_pt_are_the_same)
{
    static const char *const names[] = {"new.pth", "old.pth", "nested.pth", "wheel.whl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *dir = check_temp_dir(), *path = gf__path_join(dir, "model.pt"), *bytes = NULL;
        size_t n_bytes = 0;
        gf__source source = {.kind = GF__SOURCE_NPM};
        gf__torch_file file = {0};
        CHECK_OK(gf__read_file(fixture(names[i]), 1 << 20, &bytes, &n_bytes, &check_err));
        CHECK_OK(gf__write_file(path, bytes, n_bytes, &check_err));
        CHECK_OK(gf__source_find(path, "mine", &source, &check_err));
        CHECK_EQ(source.kind, GF__SOURCE_TORCH);
        CHECK_OK(gf__torch_open(path, &file, &check_err));
        check_tensor(&file, "turned", turned, 6, 3);
        CHECK_FAILS(GF_EUNSUPPORTED,
                    "model.pt: ", gf_zoo_import(path, "mine", dir, NULL, NULL, &check_err));
        gf__torch_file_free(&file);
        gf__free(source.path);
        gf__free(bytes);
        gf__free(path);
        check_remove_dir(dir);
    }
}

static void check_refused(gf_status status, const char *name, const char *message)
{
    gf__torch_file file = {0};
    CHECK_FAILS(status, message, gf__torch_open(fixture(name), &file, &check_err));
    assert_non_null(strstr(check_err.message, name));
    gf__torch_file_free(&file);
}

TEST(torch__calls_nothing)
{
    unlink("/tmp/graft-was-called");
    check_refused(GF_EUNSUPPORTED, "calls_system.pth",
                  "wants posix.system; only tensors are built");
    check_refused(GF_EUNSUPPORTED, "calls_eval.pth", "wants __builtin__.eval");
    CHECK(access("/tmp/graft-was-called", F_OK) != 0);
}

TEST(torch__says_where_a_tensor_and_its_storage_disagree)
{
    check_refused(GF_EFORMAT, "beyond.pth", "weight: reaches beyond its storage of 6 values");
    check_refused(GF_EFORMAT, "huge.pth", "weight: reaches beyond its storage of 6 values");
    check_refused(GF_EFORMAT, "short.pth", "storage 0: has 20 bytes, 6 values were expected");
}

TEST(torch__every_cut_of_a_file_is_an_error_not_a_crash)
{
    static const char *const names[] = {"new.pth", "old.pth"};
    for (size_t i = 0; i < 2; i++) {
        char *bytes = NULL;
        size_t size = 0;
        CHECK_OK(gf__read_file(fixture(names[i]), 1 << 20, &bytes, &size, &check_err));
        if (i == 1)
            size -= 16; /* the last storage holds the whole number, which nobody reads */
        for (size_t n = 0; n < size; n++) {
            gf__torch_file file = {0};
            uint8_t *cut = malloc(n + 1); /* so that reading past it is seen */
            memcpy(cut, bytes, n);
            CHECK(gf__torch_parse(cut, n, &file, &check_err) != GF_OK);
            gf__torch_file_free(&file);
            free(cut);
        }
        gf__free(bytes);
    }
}

static gf_status run_pickle(const char *bytes, size_t n)
{
    gf__pickle pickle = {0};
    const gf_status st = gf__pickle_run((const uint8_t *)bytes, n, &pickle, &check_err);
    gf__pickle_free(&pickle);
    return st;
}
#define RUN(text) run_pickle(text, sizeof(text) - 1)

TEST(pickle__refuses_what_no_checkpoint_needs)
{
    CHECK_FAILS(GF_EFORMAT, "empty stack", RUN("\x80\x02."));
    CHECK_FAILS(GF_EFORMAT, "middle of an instruction", RUN("\x80\x02K"));
    CHECK_FAILS(GF_EFORMAT, "never remembered", RUN("\x80\x02h\x07."));
    CHECK_FAILS(GF_EFORMAT, "no mark", RUN("\x80\x02t."));
    CHECK_FAILS(GF_EFORMAT, "fills what is no list or dict", RUN("\x80\x02K\x01K\x02s."));
    CHECK_FAILS(GF_EFORMAT, "a key without a value", RUN("\x80\x02}(K\x01u."));
    CHECK_FAILS(GF_EUNSUPPORTED, "wants os.system",
                RUN("\x80\x02"
                    "cos\nsystem\n."));
    CHECK_FAILS(GF_EUNSUPPORTED, "wants os.system", RUN("\x80\x04\x8c\x02os\x8c\x06system\x93."));
    CHECK_FAILS(GF_EUNSUPPORTED, "instruction 0x69", RUN("\x80\x02ios\nsystem\n."));
    CHECK_FAILS(GF_EUNSUPPORTED, "instruction 0x81", RUN("\x80\x02))\x81."));
    CHECK_FAILS(GF_EUNSUPPORTED, "calls what is not", RUN("\x80\x02K\x01)R."));
    CHECK_FAILS(GF_EUNSUPPORTED, "protocol above 5", RUN("\x80\x06N."));
    CHECK_FAILS(GF_EFORMAT, "longer than the file",
                RUN("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."));
    CHECK_OK(RUN("\x80\x02]q\x00h\x00"
                 "a.")); /* a list in itself */
}

TEST(pickle__a_bomb_of_doublings_ends_at_its_limit)
{
    gf__buffer bomb = {0};
    gf__buffer_append(&bomb, "\x80\x02(", 3);
    for (size_t i = 0; i < 40u << 20; i++)
        gf__buffer_append(&bomb, "]", 1);
    gf__buffer_append(&bomb, "t.", 2);
    CHECK_FAILS(GF_ELIMIT, "pickle, byte", run_pickle(bomb.data, bomb.size));
    gf__buffer_free(&bomb);
}

/* A text that would fill the limit to the last byte: what a block itself takes came on top, and what was
 * left below the limit was then nearly all of the address space. */
TEST(pickle__the_limit_counts_what_blocks_take_themselves)
{
    const size_t n_block = 16, n_value = n_block + sizeof(gf__pickle_value);
    const size_t n_chars = ((size_t)256 << 20) - n_value - 1, n = 7 + n_chars + 2;
    char *bytes = gf__calloc(n, 1);
    memcpy(bytes, "\x80\x02X", 3);
    for (size_t i = 0; i < 4; i++)
        bytes[3 + i] = (char)(n_chars >> 8 * i & 0xff);
    memcpy(bytes + 7 + n_chars, "N.", 2);
    CHECK_FAILS(GF_ELIMIT, "more than 256 MB", run_pickle(bytes, n));
    gf__free(bytes);
}

TEST(torch__survives_every_allocation_failure)
{
    static const char *const names[] = {"nested.pth", "old.pth"};
    for (size_t i = 0; i < 2; i++) {
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__torch_file file = {0};
            gf__mem_fail_after(n);
            st = gf__torch_open(fixture(names[i]), &file, &check_err);
            gf__mem_fail_never();
            gf__torch_file_free(&file);
        }
        CHECK_EQ(st, GF_OK);
    }
}

TEST(efficientnet_lite0__is_the_published_size)
{
    gf_graph *graph = NULL;
    size_t n_params = 0;
    CHECK_OK(gf__efficientnet_lite0_layers(1000, &graph, &check_err));
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        n_params += gf_layer_n_params(gf_graph_layer_at(graph, (ptrdiff_t)i));
    CHECK_EQ(n_params, 4694024); /* 4.65 M and the moving averages */
    const char *architecture = NULL;
    CHECK_OK(gf__architecture_match(graph, "efficientnet_lite0", &architecture, &check_err));
    CHECK_STR(architecture, "efficientnet_lite0");
    CHECK_FAILS(GF_EMISMATCH, "is not Inception-v3: layer 1",
                gf__architecture_match(graph, "inception_v3", &architecture, &check_err));
    gf_graph_free(graph);
}

TEST(efficientnet_lite0__names_the_weight_that_a_file_lacks)
{
    gf__checkpoint checkpoint = {0};
    CHECK_FAILS(GF_EMISMATCH, "has no _conv_stem.weight, for layer \"stem_conv\"",
                gf__torch_read(fixture("new.pth"), "efficientnet_lite0", &checkpoint, &check_err));
    gf__checkpoint_free(&checkpoint);
    CHECK_FAILS(GF_EUNSUPPORTED, "first tensor is weight",
                gf__torch_read(fixture("new.pth"), "mine", &checkpoint, &check_err));
    gf__checkpoint_free(&checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(torch__both_forms_nested_or_inside_a_package_give_the_same_tensors),
        UNIT(torch__files_called_pt_are_the_same),
        UNIT(torch__calls_nothing),
        UNIT(torch__says_where_a_tensor_and_its_storage_disagree),
        UNIT(torch__every_cut_of_a_file_is_an_error_not_a_crash),
        UNIT(pickle__refuses_what_no_checkpoint_needs),
        UNIT(pickle__a_bomb_of_doublings_ends_at_its_limit),
        UNIT(pickle__the_limit_counts_what_blocks_take_themselves),
        UNIT(torch__survives_every_allocation_failure),
        UNIT(efficientnet_lite0__is_the_published_size),
        UNIT(efficientnet_lite0__names_the_weight_that_a_file_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
