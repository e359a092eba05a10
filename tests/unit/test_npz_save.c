/* test_npz_save.c: writing .npz: whole or not at all, the same bytes every time. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tensor_files.h"

typedef struct scratch {
    char *dir, *path;
    gf_tensor *matrix;
} scratch;

static scratch make_scratch(void)
{
    scratch s = {.dir = check_temp_dir()};
    const size_t shape[] = {2, 3};
    s.path = gf__path_join(s.dir, "x.npz");
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, 2, &s.matrix, &check_err));
    float *values = gf_tensor_mutable_data(s.matrix);
    for (size_t i = 0; i < 6; i++)
        values[i] = (float)i - 0.5f;
    return s;
}

/* Fails if anything but the saved file is left in the folder. */
static void end_scratch(scratch *s)
{
    unlink(s->path);
    CHECK_EQ(rmdir(s->dir), 0);
    gf_tensor_free(s->matrix);
    gf__free(s->path);
    free(s->dir);
}

typedef struct row_maker {
    size_t n_calls;
    size_t fail_at;
} row_maker;

static gf_status fill_row(void *user, size_t i, void *row, gf_error *err)
{
    row_maker *maker = user;
    CHECK_EQ(i, maker->n_calls);
    maker->n_calls++;
    if (i == maker->fail_at)
        return gf_error_set(err, GF_ECANCELED, "stopped at row %zu", i);
    memset(row, (int)i, 12);
    return GF_OK;
}

static const char *const classes[] = {"rose", "Zoë", "\xf0\x9f\x8c\xb9", ""};
static const size_t rows_shape[] = {100, 2, 2, 3};

/* matrix, classes, rows: one of each kind. */
static gf_status save_all(const scratch *s, row_maker *maker, bool is_compressed)
{
    const gf_npz_member members[] = {
        {.name = "matrix", .tensor = s->matrix},
        {.name = "classes", .strings = classes, .n_strings = N_OF(classes)},
        {.name = "rows",
         .dtype = GF_DTYPE_U8,
         .shape = rows_shape,
         .n_dims = 4,
         .fill_row = fill_row,
         .user = maker},
    };
    return gf_npz_save(s->path, members, N_OF(members), is_compressed, &check_err);
}

static void check_saved(const char *path)
{
    gf_npz *file = NULL;
    char **strings = NULL;
    size_t n;
    CHECK_OK(gf_npz_open(path, &file, &check_err));
    CHECK_EQ(gf_npz_n_members(file), 3);
    gf_tensor *t = load_member(file, "matrix");
    CHECK(gf_tensor_f32(t)[5] == 4.5f);
    gf_tensor_free(t);
    t = load_member(file, "rows");
    CHECK_EQ(gf_tensor_shape(t)[0], 100);
    for (size_t i = 0; i < 1200; i++)
        CHECK_EQ(((const uint8_t *)gf_tensor_data(t))[i], i / 12);
    gf_tensor_free(t);
    CHECK_OK(gf_npz_load_strings(file, "classes", &strings, &n, &check_err));
    CHECK_EQ(n, N_OF(classes));
    for (size_t i = 0; i < n; i++)
        CHECK_STR(strings[i], classes[i]);
    gf_strings_free(strings);
    gf_npz_close(file);
}

TEST(npz_save__comes_back_stored_and_deflated)
{
    scratch s = make_scratch();
    for (int is_compressed = 0; is_compressed <= 1; is_compressed++) {
        row_maker maker = {.fail_at = SIZE_MAX};
        CHECK_OK(save_all(&s, &maker, is_compressed));
        CHECK_EQ(maker.n_calls, 100);
        check_saved(s.path);
    }
    end_scratch(&s);
}

TEST(npz_save__gives_the_same_bytes_in_every_time_zone)
{
    scratch s = make_scratch();
    char *bytes[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        row_maker maker = {.fail_at = SIZE_MAX};
        setenv("TZ", i == 0 ? "UTC0" : "XYZ-7", 1);
        CHECK_OK(save_all(&s, &maker, true));
        CHECK_OK(gf__read_file(s.path, 1 << 20, &bytes[i], &size[i], &check_err));
    }
    unsetenv("TZ");
    CHECK_EQ(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    gf__free(bytes[0]);
    gf__free(bytes[1]);
    end_scratch(&s);
}

TEST(npz_save__leaves_the_old_file_when_a_row_fails)
{
    scratch s = make_scratch();
    row_maker good = {.fail_at = SIZE_MAX}, bad = {.fail_at = 50};
    CHECK_OK(save_all(&s, &good, false));
    CHECK_FAILS(GF_ECANCELED, "x.npz: 'rows': stopped at row 50", save_all(&s, &bad, false));
    CHECK_EQ(bad.n_calls, 51);
    check_saved(s.path);
    end_scratch(&s);
}

/* A file size limit fails as a full disk does: in the middle of writing. */
TEST(npz_save__leaves_nothing_when_the_disk_is_full)
{
    scratch s = make_scratch();
    const size_t shape[] = {100, 4096};
    row_maker maker = {.fail_at = SIZE_MAX};
    const gf_npz_member member = {.name = "zeros",
                                  .dtype = GF_DTYPE_U8,
                                  .shape = shape,
                                  .n_dims = 2,
                                  .fill_row = fill_row,
                                  .user = &maker};
    struct rlimit old;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {.rlim_cur = 100000, .rlim_max = old.rlim_max};
    void (*const old_handler)(int) = signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const gf_status st = gf_npz_save(s.path, &member, 1, false, &check_err);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, old_handler);
    CHECK_EQ(st, GF_EIO);
    CHECK(strstr(check_err.message, "x.npz: cannot write: File too large") != NULL);
    CHECK(!gf__is_file(s.path));
    end_scratch(&s);
}

TEST(npz_save__refuses_what_cannot_be_written)
{
    scratch s = make_scratch();
    static const char *const broken[] = {"ok", "\xc3("};
    static const char *const surrogate[] = {"\xed\xa0\x80"};
    static const char *const overlong[] = {"\xc0\xaf"};
    const size_t huge[] = {SIZE_MAX, 2};
    const struct {
        gf_status status;
        const char *part;
        gf_npz_member member;
    } cases[] = {
        {GF_EINVAL,
         "x.npz: 'a': string 1: not UTF-8 at byte 0",
         {.name = "a", .strings = broken, .n_strings = 2}},
        {GF_EINVAL, "not UTF-8", {.name = "a", .strings = surrogate, .n_strings = 1}},
        {GF_EINVAL, "not UTF-8", {.name = "a", .strings = overlong, .n_strings = 1}},
        {GF_EINVAL, "neither tensor, strings nor rows", {.name = "a"}},
        {GF_ESHAPE, "rows in 0 dimensions", {.name = "a", .fill_row = fill_row}},
        {GF_ESHAPE,
         "too large",
         {.name = "a", .dtype = GF_DTYPE_F32, .shape = huge, .n_dims = 2, .fill_row = fill_row}},
        {GF_EUNSUPPORTED,
         "numpy has no bfloat16",
         {.name = "a", .dtype = GF_DTYPE_BF16, .shape = huge, .n_dims = 1, .fill_row = fill_row}},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        CHECK_FAILS(cases[i].status, cases[i].part,
                    gf_npz_save(s.path, &cases[i].member, 1, false, &check_err));
    const gf_npz_member twice[] = {{.name = "a", .tensor = s.matrix},
                                   {.name = "a", .tensor = s.matrix}};
    CHECK_FAILS(GF_EINVAL, "two members are called 'a.npy'",
                gf_npz_save(s.path, twice, 2, false, &check_err));
    CHECK_FAILS(GF_EINVAL, "no arrays", gf_npz_save(s.path, NULL, 0, false, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "/no/such/x.npz",
                gf_npz_save("/no/such/x.npz", twice, 1, false, &check_err));
    CHECK(!gf__is_file(s.path));
    end_scratch(&s);
}

TEST(npz__survives_every_allocation_failure)
{
    scratch s = make_scratch();
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        row_maker maker = {.fail_at = SIZE_MAX};
        gf__mem_fail_after(n);
        st = save_all(&s, &maker, false);
        gf__mem_fail_never();
    }
    CHECK_EQ(st, GF_OK);
    gf_npz *file = NULL;
    st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_npz_open(golden_npz("deflated"), &file, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && file == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf_tensor *t = NULL;
    st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_npz_load(file, "fortran", &t, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && t == NULL));
    }
    CHECK_EQ(st, GF_OK);
    char **strings = NULL;
    size_t n_strings;
    st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_npz_load_strings(file, "classes", &strings, &n_strings, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && strings == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf_strings_free(strings);
    gf_tensor_free(t);
    gf_npz_close(file);
    end_scratch(&s);
}

TESTS_MAIN(UNIT(npz_save__comes_back_stored_and_deflated),
           UNIT(npz_save__gives_the_same_bytes_in_every_time_zone),
           UNIT(npz_save__leaves_the_old_file_when_a_row_fails),
           UNIT(npz_save__leaves_nothing_when_the_disk_is_full),
           UNIT(npz_save__refuses_what_cannot_be_written),
           UNIT(npz__survives_every_allocation_failure))
