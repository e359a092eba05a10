/* Splits equal scikit-learn's index for index: tests/golden/split/cases.txt, made by make_split.py
 * beside it. */
#include "check.h"

#include "base/base.h"
#include "data/data.h"

/* As labels_of() in make_split.py: item i gets the class with most items left, the first of
 * equals. */
static void fill_labels(size_t *sizes, size_t n_classes, size_t *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t best = 0;
        for (size_t k = 1; k < n_classes; k++)
            best = sizes[k] > sizes[best] ? k : best;
        sizes[best]--;
        labels[i] = best;
    }
}

static size_t read_numbers(const char *line, size_t *numbers, size_t n_max)
{
    size_t n = 0;
    char *end;

    for (const char *at = line; n < n_max; at = end) {
        const unsigned long long value = strtoull(at, &end, 10);
        if (end == at)
            break;
        numbers[n++] = (size_t)value;
    }
    return n;
}

/* A line of cases.txt: the length, then all items, or the first ten, the last ten and a
 * checksum. */
static void check_part(const char *line, const size_t *items, size_t n_items)
{
    size_t want[64];
    const size_t n_want = read_numbers(line, want, 64);

    CHECK(n_want > 0);
    CHECK_EQ(n_items, want[0]);
    if (n_items <= 60) {
        CHECK_EQ(n_want, n_items + 1);
        for (size_t i = 0; i < n_items; i++)
            CHECK_EQ(items[i], want[i + 1]);
        return;
    }
    uint32_t checksum = 0;
    for (size_t i = 0; i < n_items; i++)
        checksum = checksum * 31 + (uint32_t)items[i];
    for (size_t i = 0; i < 10; i++) {
        CHECK_EQ(items[i], want[i + 1]);
        CHECK_EQ(items[n_items - 10 + i], want[i + 11]);
    }
    CHECK_EQ(checksum, want[21]);
}

static void check_case(const char *head, const char *classes, const char *train, const char *test)
{
    size_t n, sizes[64], n_classes = 0;
    gf_split_options options = {0};
    unsigned is_stratified;
    gf_split *split = NULL;

    CHECK_EQ(
        sscanf(head, "%zu %lf %u %u", &n, &options.test_fraction, &options.seed, &is_stratified),
        4);
    options.is_stratified = is_stratified != 0;
    size_t *labels = calloc(n, sizeof *labels);
    if (options.is_stratified) {
        n_classes = read_numbers(classes, sizes, 64);
        fill_labels(sizes, n_classes, labels, n);
    }
    gf_error err = {0};
    const gf_status st = gf_split_labels(options.is_stratified ? labels : NULL, n, n_classes,
                                         &options, &split, &err);
    if (train[0] == '0') { /* scikit-learn refuses as well */
        CHECK_EQ(st, GF_EINVAL);
        CHECK(split == NULL);
    } else {
        if (st != GF_OK)
            fail_msg("case %s: %s", head, err.message);
        check_part(train, split->train, split->n_train);
        check_part(test, split->test, split->n_test);
    }
    gf_split_free(split);
    free(labels);
}

TEST(split__equals_scikit_learn_index_for_index)
{
    static char lines[4][4096];
    size_t n_cases = 0;
    FILE *file = fopen(check_fixture("golden/split/cases.txt"), "r");

    CHECK(file != NULL);
    CHECK(fgets(lines[0], sizeof lines[0], file) != NULL); /* versions */
    while (fgets(lines[0], sizeof lines[0], file) != NULL) {
        for (size_t i = 1; i < 4; i++)
            CHECK(fgets(lines[i], sizeof lines[i], file) != NULL);
        check_case(lines[0], lines[1], lines[2], lines[3]);
        n_cases++;
    }
    fclose(file);
    CHECK(n_cases > 600);
}

TEST(split__holds_every_item_once)
{
    gf_split *split = NULL;
    size_t seen[200] = {0};

    CHECK_OK(gf_split_labels(NULL, 200, 0, &(gf_split_options){.test_fraction = 0.2, .seed = 42},
                             &split, &check_err));
    CHECK_EQ(split->n_train, 160);
    CHECK_EQ(split->n_test, 40);
    for (size_t i = 0; i < 160; i++)
        seen[split->train[i]]++;
    for (size_t i = 0; i < 40; i++)
        seen[split->test[i]]++;
    for (size_t i = 0; i < 200; i++)
        CHECK_EQ(seen[i], 1);
    gf_split_free(split);
}

TEST(split__refuses_fractions_that_leave_a_part_empty)
{
    static const double fractions[] = {0.0, 1.0, -0.5, 1.5, (double)NAN};
    gf_split *split = NULL;

    for (size_t i = 0; i < 5; i++)
        CHECK_FAILS(GF_EINVAL, "more than 0 and less than 1",
                    gf_split_labels(NULL, 10, 0, &(gf_split_options){.test_fraction = fractions[i]},
                                    &split, &check_err));
    CHECK_FAILS(
        GF_EINVAL, "leaves none to train on",
        gf_split_labels(NULL, 1, 0, &(gf_split_options){.test_fraction = 0.2}, &split, &check_err));
    CHECK_FAILS(GF_EINVAL, "0.95 of 10 items",
                gf_split_labels(NULL, 10, 0, &(gf_split_options){.test_fraction = 0.95}, &split,
                                &check_err));
    CHECK(split == NULL);
}

TEST(split__stratified_names_what_is_too_small)
{
    static const size_t lone[] = {0, 0, 0, 1, 1, 2}, many[] = {0, 0, 1, 1, 2, 2};
    gf_split *split = NULL;
    gf_split_options options = {.test_fraction = 0.5, .is_stratified = true};

    CHECK_FAILS(GF_EINVAL, "class 2 has 1 item",
                gf_split_labels(lone, 6, 3, &options, &split, &check_err));
    options.test_fraction = 0.2;
    CHECK_FAILS(GF_EINVAL, "into 4 and 2 items cannot have all 3 classes",
                gf_split_labels(many, 6, 3, &options, &split, &check_err));
    CHECK(split == NULL);
}

TEST(split__survives_every_allocation_failure)
{
    static const size_t labels[] = {0, 1, 0, 1, 0, 1};
    gf_split *split = NULL;

    for (int is_stratified = 0; is_stratified < 2; is_stratified++) {
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__mem_fail_after(n);
            st = gf_split_labels(
                labels, 6, 2,
                &(gf_split_options){.test_fraction = 0.5, .is_stratified = is_stratified != 0},
                &split, NULL);
            gf__mem_fail_never();
            CHECK(st == GF_OK || (st == GF_ENOMEM && split == NULL));
        }
        gf_split_free(split);
        split = NULL;
    }
}

TESTS_MAIN(UNIT(split__equals_scikit_learn_index_for_index), UNIT(split__holds_every_item_once),
           UNIT(split__refuses_fractions_that_leave_a_part_empty),
           UNIT(split__stratified_names_what_is_too_small),
           UNIT(split__survives_every_allocation_failure))
