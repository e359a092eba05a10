/* split.c: which items are trained on and which are held out, index for index as scikit-learn's
 * train_test_split(test_size=, random_state=, stratify=) chooses them (1.x; the rules have not
 * changed since 0.18).
 *
 * Plain: ShuffleSplit, one permutation whose first part is the test set. Stratified:
 * StratifiedShuffleSplit, whose seats for each class come from _approximate_mode(). All random
 * numbers are numpy's legacy generator. */
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "data/data.h"

static gf_status split_alloc(size_t n_train, size_t n_test, gf_split **out, gf_error *err)
{
    gf_split *split = gf__calloc(1, sizeof *split);

    *out = NULL;
    if (split == NULL)
        return gf__error_nomem(err, "a split", sizeof *split);
    split->train = gf__calloc(n_train, sizeof *split->train);
    split->test = gf__calloc(n_test, sizeof *split->test);
    if (split->train == NULL || split->test == NULL) {
        gf_split_free(split);
        return gf__error_nomem(err, "a split", (n_train + n_test) * sizeof *split->train);
    }
    split->n_train = n_train;
    split->n_test = n_test;
    *out = split;
    return GF_OK;
}

void gf_split_free(gf_split *split)
{
    if (split == NULL)
        return;
    gf__free(split->train);
    gf__free(split->test);
    gf__free(split);
}

/* _validate_shuffle_split() with only test_size given. */
static gf_status count_parts(size_t n, double test_fraction, size_t *n_train, size_t *n_test,
                             gf_error *err)
{
    if (!(test_fraction > 0.0 && test_fraction < 1.0))
        return gf_error_set(
            err, GF_EINVAL,
            "the held-out part is %g of the items, expected more than 0 and less than 1",
            test_fraction);
    *n_test = (size_t)ceil(test_fraction * (double)n);
    if (*n_test >= n)
        return gf_error_set(err, GF_EINVAL, "holding %g of %zu item%s out leaves none to train on",
                            test_fraction, n, n == 1 ? "" : "s");
    *n_train = n - *n_test;
    return GF_OK;
}

static gf_status split_plain(size_t n, uint32_t seed, gf_split *split, gf_error *err)
{
    gf__mt19937 mt;
    size_t *order = gf__calloc(n, sizeof *order);

    if (order == NULL)
        return gf__error_nomem(err, "a permutation", n * sizeof *order);
    gf__mt19937_seed(&mt, seed);
    gf__mt19937_permutation(&mt, order, n);
    memcpy(split->test, order, split->n_test * sizeof *order);
    memcpy(split->train, order + split->n_test, split->n_train * sizeof *order);
    gf__free(order);
    return GF_OK;
}

/* What a stratified split works with. Classes without items do not take part: numpy's unique() does
 * not see them. */
typedef struct strata {
    size_t n_classes;
    size_t *counts;     /* items of each class */
    size_t *members;    /* item numbers, class by class, rising within a class */
    size_t *n_train;    /* seats of each class in the training part */
    size_t *n_test;     /* and in the test part */
    size_t *left;       /* counts - n_train */
    size_t *order;      /* room for a permutation of the largest class, or of tied classes */
    size_t *tied;       /* room for the classes of one remainder */
    double *remainders; /* room for approximate_mode() */
} strata;

static void strata_free(strata *s)
{
    gf__free(s->counts);
    gf__free(s->members);
    gf__free(s->n_train);
    gf__free(s->n_test);
    gf__free(s->left);
    gf__free(s->order);
    gf__free(s->tied);
    gf__free(s->remainders);
}

static gf_status strata_alloc(strata *s, size_t n, size_t n_classes, gf_error *err)
{
    const size_t n_order = n > n_classes ? n : n_classes;

    s->counts = gf__calloc(n_classes, sizeof *s->counts);
    s->members = gf__calloc(n, sizeof *s->members);
    s->n_train = gf__calloc(n_classes, sizeof *s->n_train);
    s->n_test = gf__calloc(n_classes, sizeof *s->n_test);
    s->left = gf__calloc(n_classes, sizeof *s->left);
    s->order = gf__calloc(n_order, sizeof *s->order);
    s->tied = gf__calloc(n_classes, sizeof *s->tied);
    s->remainders = gf__calloc(n_classes, sizeof *s->remainders);
    if (s->counts == NULL || s->members == NULL || s->n_train == NULL || s->n_test == NULL ||
        s->left == NULL || s->order == NULL || s->tied == NULL || s->remainders == NULL)
        return gf__error_nomem(err, "a stratified split", (n_order + n) * sizeof *s->order);
    return GF_OK;
}

/* Counting sort of the items by class; then the empty classes are squeezed out. */
static void strata_fill(strata *s, const size_t *labels, size_t n, size_t n_classes)
{
    size_t *next = s->left; /* free until the seats are given out */
    size_t start = 0, n_used = 0;

    for (size_t i = 0; i < n; i++)
        s->counts[labels[i]]++;
    for (size_t k = 0; k < n_classes; k++) {
        next[k] = start;
        start += s->counts[k];
    }
    for (size_t i = 0; i < n; i++)
        s->members[next[labels[i]]++] = i;
    for (size_t k = 0; k < n_classes; k++) {
        if (s->counts[k] > 0)
            s->counts[n_used++] = s->counts[k];
    }
    s->n_classes = n_used;
}

static gf_status check_strata(const strata *s, const size_t *labels, const gf_split *split,
                              gf_error *err)
{
    const size_t *first = s->members;

    for (size_t k = 0; k < s->n_classes; first += s->counts[k], k++) {
        if (s->counts[k] < 2)
            return gf_error_set(err, GF_EINVAL,
                                "class %zu has 1 item; a stratified split needs at least 2 of each",
                                labels[*first]);
    }
    if (split->n_train < s->n_classes || split->n_test < s->n_classes)
        return gf_error_set(
            err, GF_EINVAL,
            "a stratified split into %zu and %zu items cannot have all %zu classes in "
            "both parts",
            split->n_train, split->n_test, s->n_classes);
    return GF_OK;
}

/* The classes of the largest remainder below limit, which becomes that remainder. */
static size_t next_tied(const strata *s, double *limit)
{
    double best = -1.0;
    size_t n_tied = 0;

    for (size_t k = 0; k < s->n_classes; k++) {
        if (s->remainders[k] >= *limit || s->remainders[k] < best)
            continue;
        if (s->remainders[k] > best)
            n_tied = 0;
        best = s->remainders[k];
        s->tied[n_tied++] = k;
    }
    *limit = best;
    return n_tied;
}

/* scikit-learn's _approximate_mode(): seats in proportion to counts, those left over by largest
 * remainder, ties drawn. The arithmetic is in double and in this order, because ties are decided by
 * equality of rounded values. */
static void approximate_mode(const strata *s, const size_t *counts, size_t n_draws, gf__mt19937 *mt,
                             size_t *seats)
{
    const size_t K = s->n_classes;
    double total = 0.0, limit = 2.0;
    size_t n_left = n_draws;

    for (size_t k = 0; k < K; k++)
        total += (double)counts[k];
    for (size_t k = 0; k < K; k++) {
        const double share = (double)counts[k] / total * (double)n_draws;
        seats[k] = (size_t)floor(share);
        s->remainders[k] = share - floor(share);
        n_left -= seats[k];
    }
    while (n_left > 0) {
        const size_t n_tied = next_tied(s, &limit);
        const size_t n_now = n_tied < n_left ? n_tied : n_left;

        if (n_tied == 0)
            return; /* every class got one more: numpy's loop ends here as well */
        /* rng.choice(replace=False) is the head of a permutation of positions among the tied
         * classes. */
        gf__mt19937_permutation(mt, s->order, n_tied);
        for (size_t d = 0; d < n_now; d++)
            seats[s->tied[s->order[d]]]++;
        n_left -= n_now;
    }
}

/* Draws the items of each class, then shuffles both parts. */
static void draw_members(const strata *s, gf__mt19937 *mt, gf_split *split)
{
    size_t n_train = 0, n_test = 0;
    const size_t *members = s->members;

    for (size_t k = 0; k < s->n_classes; k++) {
        gf__mt19937_permutation(mt, s->order, s->counts[k]);
        for (size_t i = 0; i < s->n_train[k]; i++)
            split->train[n_train++] = members[s->order[i]];
        for (size_t i = 0; i < s->n_test[k]; i++)
            split->test[n_test++] = members[s->order[s->n_train[k] + i]];
        members += s->counts[k];
    }
    split->n_train = n_train;
    split->n_test = n_test;
    gf__mt19937_shuffle(mt, split->train, n_train);
    gf__mt19937_shuffle(mt, split->test, n_test);
}

static gf_status split_stratified(const size_t *labels, size_t n, size_t n_classes, uint32_t seed,
                                  gf_split *split, gf_error *err)
{
    gf_status st;
    gf__mt19937 mt;
    strata s = {0};

    st = strata_alloc(&s, n, n_classes, err);
    if (st != GF_OK)
        goto done;
    strata_fill(&s, labels, n, n_classes);
    st = check_strata(&s, labels, split, err);
    if (st != GF_OK)
        goto done;

    gf__mt19937_seed(&mt, seed);
    approximate_mode(&s, s.counts, split->n_train, &mt, s.n_train);
    for (size_t k = 0; k < s.n_classes; k++)
        s.left[k] = s.counts[k] - s.n_train[k];
    approximate_mode(&s, s.left, split->n_test, &mt, s.n_test);
    draw_members(&s, &mt, split);
done:
    strata_free(&s);
    return st;
}

gf_status gf_split_labels(const size_t *labels, size_t n, size_t n_classes,
                          const gf_split_options *options, gf_split **out, gf_error *err)
{
    gf_status st;
    size_t n_train = 0, n_test = 0;
    gf_split *split = NULL;

    *out = NULL;
    st = count_parts(n, options->test_fraction, &n_train, &n_test, err);
    if (st != GF_OK)
        return st;
    st = split_alloc(n_train, n_test, &split, err);
    if (st != GF_OK)
        return st;
    if (options->is_stratified)
        st = split_stratified(labels, n, n_classes, options->seed, split, err);
    else
        st = split_plain(n, options->seed, split, err);
    if (st != GF_OK) {
        gf_split_free(split);
        return st;
    }
    *out = split;
    return GF_OK;
}

/* The classes' names make a better message than their numbers. */
static gf_status check_class_sizes(const gf_dataset *dataset, const size_t *labels, size_t n,
                                   gf_error *err)
{
    gf_status st = GF_OK;
    const size_t n_classes = gf_dataset_n_classes(dataset);
    size_t *counts = gf__calloc(n_classes, sizeof *counts);

    if (counts == NULL)
        return gf__error_nomem(err, "class sizes", n_classes * sizeof *counts);
    for (size_t i = 0; i < n; i++)
        counts[labels[i]]++;
    for (size_t k = 0; k < n_classes && st == GF_OK; k++) {
        if (counts[k] == 1)
            st = gf_error_set(err, GF_EINVAL,
                              "class '%s' has 1 item; a stratified split needs at least 2 of each",
                              gf_dataset_class_at(dataset, k));
    }
    gf__free(counts);
    return st;
}

gf_status gf_split_new(const gf_dataset *dataset, const gf_split_options *options, gf_split **out,
                       gf_error *err)
{
    gf_status st = GF_OK;
    const size_t n = gf_dataset_n_items(dataset);
    size_t *labels = gf__calloc(n, sizeof *labels);

    *out = NULL;
    if (labels == NULL)
        return gf__error_nomem(err, "labels", n * sizeof *labels);
    for (size_t i = 0; i < n; i++)
        labels[i] = gf_dataset_label_at(dataset, i);
    if (options->is_stratified)
        st = check_class_sizes(dataset, labels, n, err);
    if (st == GF_OK)
        st = gf_split_labels(labels, n, gf_dataset_n_classes(dataset), options, out, err);
    gf__free(labels);
    return st;
}
