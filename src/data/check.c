/* check.c: what is wrong or odd in a data set. Every picture is looked at once (inspect.c), equal
 * ones are found (matches.c), and then each kind of issue, in the order of the enum, has its say
 * about each item. */
#include <stdio.h>
#include <string.h>

#include "data/check_priv.h"
#include "data/each_priv.h"

#define SMALL_SIDE   32
#define IMBALANCE    3 /* times smaller than the largest class */
#define MAX_DISTANCE 16
#define NOTE_MAX     (GF_ERROR_MAX + 64)
#define DEFAULT_NEAR 4

typedef struct set_check {
    const gf_dataset *set;
    const gf_dataset *other; /* may be NULL */
    gf_check_options options;
    size_t n_own, n;
    gf__facts *facts;        /* n: of set, then of other */
    gf__match *own, *across; /* n_own */
    gf_check_report *report;
    size_t capacity; /* of report->issues */
} set_check;

const char *gf_issue_kind_name(gf_issue_kind kind)
{
    static const char *const names[GF_N_ISSUE_KINDS] = {
        [GF_ISSUE_CORRUPT] = "corrupt",
        [GF_ISSUE_MISNAMED] = "misnamed",
        [GF_ISSUE_NOT_A_PICTURE] = "not-a-picture",
        [GF_ISSUE_DUPLICATE] = "duplicate",
        [GF_ISSUE_NEAR_DUPLICATE] = "near-duplicate",
        [GF_ISSUE_CROSS_DUPLICATE] = "cross-duplicate",
        [GF_ISSUE_LABEL_CONFLICT] = "label-conflict",
        [GF_ISSUE_TURNED] = "turned",
        [GF_ISSUE_ONE_COLOUR] = "one-colour",
        [GF_ISSUE_SMALL] = "small",
        [GF_ISSUE_IMBALANCE] = "imbalance",
    };
    return (size_t)kind < GF_N_ISSUE_KINDS ? names[kind] : "?";
}

gf_check_options gf_check_options_default(void)
{
    return (gf_check_options){.near_distance = DEFAULT_NEAR};
}

void gf_check_report_free(gf_check_report *report)
{
    if (report == NULL)
        return;
    for (size_t k = 0; report->class_names != NULL && k < report->n_classes; k++)
        gf__free(report->class_names[k]);
    for (size_t i = 0; i < report->n_issues; i++) {
        gf__free(report->issues[i].item);
        gf__free(report->issues[i].other);
        gf__free(report->issues[i].note);
    }
    gf__free(report->class_names);
    gf__free(report->n_per_class);
    gf__free(report->issues);
    gf__free(report);
}

/* ---- looking at pictures --------------------------------------------------------------------- */

static gf_status inspect_one(void *user, size_t i, int thread, gf_error *err)
{
    set_check *check = user;
    const bool is_own = i < check->n_own;

    return gf__inspect(is_own ? check->set : check->other, is_own ? i : i - check->n_own,
                       check->options.max_pixels, &check->facts[i], err);
}

static const char *name_of(void *user, size_t i)
{
    const set_check *check = user;
    return i < check->n_own ? gf_dataset_item_at(check->set, i)
                            : gf_dataset_item_at(check->other, i - check->n_own);
}

static gf_status inspect_all(set_check *check, const gf_observer *obs, gf_error *err)
{
    gf__each each = {.stage = "check", .n_items = check->n, .obs = obs, .user = check};
    const int n_threads = check->options.n_threads;

    each.work = inspect_one;
    each.name = name_of;
    check->facts = gf__calloc(check->n, sizeof *check->facts);
    check->own = gf__calloc(check->n_own, sizeof *check->own);
    check->across = gf__calloc(check->n_own, sizeof *check->across);
    if (check->facts == NULL || check->own == NULL || check->across == NULL)
        return gf__error_nomem(err, "a table of pictures", check->n * sizeof *check->facts);
    return gf__each_run(&each, n_threads > 0 ? n_threads : gf_threads_available(), err);
}

/* ---- writing issues down --------------------------------------------------------------------- */

static gf_status copy_text(const char *text, char **out, gf_error *err)
{
    *out = NULL;
    if (text == NULL)
        return GF_OK;
    *out = gf__strdup(text);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "an issue", strlen(text) + 1);
}

static gf_status reserve_issue(set_check *check, gf_error *err)
{
    gf_check_report *report = check->report;
    const size_t capacity = check->capacity < 16 ? 16 : check->capacity * 2;
    gf_issue *issues;

    if (report->n_issues < check->capacity)
        return GF_OK;
    issues = gf__realloc(report->issues, capacity * sizeof *issues);
    if (issues == NULL)
        return gf__error_nomem(err, "issues", capacity * sizeof *issues);
    report->issues = issues;
    check->capacity = capacity;
    return GF_OK;
}

/* item, other, note: copied; the last two may be NULL. */
static gf_status add_issue(set_check *check, gf_issue_kind kind, const char *item,
                           const char *other, const char *note, gf_error *err)
{
    gf_check_report *report = check->report;
    gf_issue *issue;
    gf_status st = reserve_issue(check, err);

    if (st != GF_OK)
        return st;
    issue = &report->issues[report->n_issues++];
    *issue = (gf_issue){.kind = kind};
    report->n_by_kind[kind]++;
    st = copy_text(item, &issue->item, err);
    if (st == GF_OK)
        st = copy_text(other, &issue->other, err);
    if (st == GF_OK)
        st = copy_text(note, &issue->note, err);
    return st;
}

/* ---- what each kind says of item i; nothing where all is well -------------------------------- */

static gf_status say_corrupt(set_check *check, size_t i, gf_error *err)
{
    if (check->facts[i].why == NULL)
        return GF_OK;
    return add_issue(check, GF_ISSUE_CORRUPT, gf_dataset_item_at(check->set, i), NULL,
                     check->facts[i].why, err);
}

static gf_status say_misnamed(set_check *check, size_t i, gf_error *err)
{
    char note[NOTE_MAX];
    const char *file = gf_dataset_file_at(check->set, i), *foreign = NULL;
    const gf_image_format inside = check->facts[i].format;
    gf_image_format named;

    if (file == NULL || inside == GF_IMAGE_UNKNOWN)
        return GF_OK;
    named = gf__ending_format(file, &foreign);
    if (named == inside || (named == GF_IMAGE_UNKNOWN && foreign == NULL))
        return GF_OK;
    snprintf(note, sizeof note, "a %s named %s", gf_image_format_name(inside),
             gf__path_extension(file));
    return add_issue(check, GF_ISSUE_MISNAMED, gf_dataset_item_at(check->set, i), NULL, note, err);
}

static bool has_conflict(const set_check *check, size_t i)
{
    const size_t other = check->own[i].other;

    return other != GF__NO_MATCH &&
           gf_dataset_label_at(check->set, i) != gf_dataset_label_at(check->set, other);
}

static void note_distance(char note[NOTE_MAX], const gf__match *match)
{
    if (match->distance < 0)
        snprintf(note, NOTE_MAX, "the same bytes");
    else
        snprintf(note, NOTE_MAX, "looks the same, %d of 64 bits differ", match->distance);
}

static gf_status say_match(set_check *check, gf_issue_kind kind, size_t i, gf_error *err)
{
    char note[NOTE_MAX];

    note_distance(note, &check->own[i]);
    return add_issue(check, kind, gf_dataset_item_at(check->set, i),
                     gf_dataset_item_at(check->set, check->own[i].other), note, err);
}

static gf_status say_duplicate(set_check *check, size_t i, gf_error *err)
{
    if (check->own[i].other == GF__NO_MATCH || check->own[i].distance >= 0 ||
        has_conflict(check, i))
        return GF_OK;
    return say_match(check, GF_ISSUE_DUPLICATE, i, err);
}

static gf_status say_near_duplicate(set_check *check, size_t i, gf_error *err)
{
    if (check->own[i].other == GF__NO_MATCH || check->own[i].distance < 0 || has_conflict(check, i))
        return GF_OK;
    return say_match(check, GF_ISSUE_NEAR_DUPLICATE, i, err);
}

static gf_status say_label_conflict(set_check *check, size_t i, gf_error *err)
{
    return has_conflict(check, i) ? say_match(check, GF_ISSUE_LABEL_CONFLICT, i, err) : GF_OK;
}

static gf_status say_cross_duplicate(set_check *check, size_t i, gf_error *err)
{
    char note[NOTE_MAX];
    size_t other;

    if (check->across[i].other == GF__NO_MATCH)
        return GF_OK;
    other = check->across[i].other - check->n_own;
    note_distance(note, &check->across[i]);
    return add_issue(check, GF_ISSUE_CROSS_DUPLICATE, gf_dataset_item_at(check->set, i),
                     gf_dataset_item_at(check->other, other), note, err);
}

static gf_status say_turned(set_check *check, size_t i, gf_error *err)
{
    char note[NOTE_MAX];

    if (check->facts[i].why != NULL || check->facts[i].orientation == 1)
        return GF_OK;
    snprintf(note, sizeof note, "EXIF orientation %d", check->facts[i].orientation);
    return add_issue(check, GF_ISSUE_TURNED, gf_dataset_item_at(check->set, i), NULL, note, err);
}

static gf_status say_one_colour(set_check *check, size_t i, gf_error *err)
{
    const gf__facts *facts = &check->facts[i];
    char note[NOTE_MAX];

    if (facts->why != NULL || !facts->is_one_colour)
        return GF_OK;
    snprintf(note, sizeof note, "all of it is #%02x%02x%02x", facts->thumb[0], facts->thumb[1],
             facts->thumb[2]);
    return add_issue(check, GF_ISSUE_ONE_COLOUR, gf_dataset_item_at(check->set, i), NULL, note,
                     err);
}

static gf_status say_small(set_check *check, size_t i, gf_error *err)
{
    const gf__facts *facts = &check->facts[i];
    char note[NOTE_MAX];

    if (facts->why != NULL || (facts->width >= SMALL_SIDE && facts->height >= SMALL_SIDE))
        return GF_OK;
    snprintf(note, sizeof note, "%zu x %zu pixels", facts->width, facts->height);
    return add_issue(check, GF_ISSUE_SMALL, gf_dataset_item_at(check->set, i), NULL, note, err);
}

/* ---- what is said of the whole --------------------------------------------------------------- */

static gf_status say_strangers(set_check *check, gf_error *err)
{
    const gf__names *strangers = &check->set->strangers;
    const size_t n_root = strlen(check->set->path) + 1; /* "DIR/" */
    gf_status st = GF_OK;

    for (size_t i = 0; i < strangers->n && st == GF_OK; i++) {
        const char *foreign = NULL;
        char note[NOTE_MAX];

        gf__ending_format(strangers->at[i], &foreign);
        snprintf(note, sizeof note, "%s, which graft does not read; convert it to JPEG or PNG",
                 foreign != NULL ? foreign : "");
        st = add_issue(check, GF_ISSUE_NOT_A_PICTURE, strangers->at[i] + n_root, NULL,
                       foreign != NULL ? note : NULL, err);
    }
    return st;
}

static gf_status say_imbalance(set_check *check, gf_error *err)
{
    const gf_check_report *report = check->report;
    const gf__names *empty = &check->set->empty;
    size_t largest = 0;
    gf_status st = GF_OK;
    char note[NOTE_MAX];

    for (size_t k = 0; k < report->n_classes; k++)
        largest = report->n_per_class[k] > largest ? report->n_per_class[k] : largest;
    for (size_t k = 0; k < report->n_classes && st == GF_OK; k++) {
        if (report->n_per_class[k] * IMBALANCE >= largest)
            continue;
        snprintf(note, sizeof note, "%zu item%s, the largest class has %zu", report->n_per_class[k],
                 report->n_per_class[k] == 1 ? "" : "s", largest);
        st = add_issue(check, GF_ISSUE_IMBALANCE, report->class_names[k], NULL, note, err);
    }
    for (size_t k = 0; k < empty->n && st == GF_OK; k++)
        st = add_issue(check, GF_ISSUE_IMBALANCE, empty->at[k], NULL, "a folder without pictures",
                       err);
    return st;
}

/* By kind, then item. */
static gf_status say_all(set_check *check, gf_error *err)
{
    static const struct {
        gf_status (*of_item)(set_check *check, size_t i, gf_error *err);
        gf_status (*of_set)(set_check *check, gf_error *err);
    } sayers[GF_N_ISSUE_KINDS] = {
        [GF_ISSUE_CORRUPT] = {say_corrupt, NULL},
        [GF_ISSUE_MISNAMED] = {say_misnamed, NULL},
        [GF_ISSUE_NOT_A_PICTURE] = {NULL, say_strangers},
        [GF_ISSUE_DUPLICATE] = {say_duplicate, NULL},
        [GF_ISSUE_NEAR_DUPLICATE] = {say_near_duplicate, NULL},
        [GF_ISSUE_CROSS_DUPLICATE] = {say_cross_duplicate, NULL},
        [GF_ISSUE_LABEL_CONFLICT] = {say_label_conflict, NULL},
        [GF_ISSUE_TURNED] = {say_turned, NULL},
        [GF_ISSUE_ONE_COLOUR] = {say_one_colour, NULL},
        [GF_ISSUE_SMALL] = {say_small, NULL},
        [GF_ISSUE_IMBALANCE] = {NULL, say_imbalance},
    };
    gf_status st = GF_OK;

    for (size_t kind = 0; kind < GF_N_ISSUE_KINDS && st == GF_OK; kind++) {
        if (sayers[kind].of_set != NULL)
            st = sayers[kind].of_set(check, err);
        for (size_t i = 0; sayers[kind].of_item != NULL && i < check->n_own && st == GF_OK; i++)
            st = sayers[kind].of_item(check, i, err);
    }
    return st;
}

static gf_status start_report(set_check *check, gf_error *err)
{
    const gf_dataset *set = check->set;
    gf_check_report *report = gf__calloc(1, sizeof *report);

    check->report = report;
    if (report == NULL)
        return gf__error_nomem(err, "a report", sizeof *report);
    report->n_items = check->n_own;
    report->class_names = gf__calloc(set->classes.n, sizeof *report->class_names);
    report->n_per_class = gf__calloc(set->classes.n, sizeof *report->n_per_class);
    if (report->class_names == NULL || report->n_per_class == NULL)
        return gf__error_nomem(err, "a report", set->classes.n * sizeof *report->n_per_class);
    report->n_classes = set->classes.n;
    for (size_t k = 0; k < set->classes.n; k++) {
        const gf_status st = copy_text(set->classes.at[k], &report->class_names[k], err);

        if (st != GF_OK)
            return st;
    }
    for (size_t i = 0; i < check->n_own; i++)
        report->n_per_class[gf_dataset_label_at(set, i)]++;
    return GF_OK;
}

gf_status gf_dataset_check(const gf_dataset *dataset, const gf_check_options *options,
                           const gf_observer *obs, gf_check_report **out, gf_error *err)
{
    gf_status st;
    set_check check = {.set = dataset, .n_own = dataset->n_items};

    *out = NULL;
    check.options = options != NULL ? *options : gf_check_options_default();
    check.other = check.options.other;
    check.n = check.n_own + (check.other != NULL ? check.other->n_items : 0);
    if (check.options.near_distance > MAX_DISTANCE)
        return gf_error_set(err, GF_EINVAL,
                            "near duplicates may differ in %u bits, expected at most %d",
                            check.options.near_distance, MAX_DISTANCE);
    st = gf__dataset_wants_pictures(dataset, err);
    if (st == GF_OK && check.other != NULL)
        st = gf__dataset_wants_pictures(check.other, err);
    if (st != GF_OK)
        return st;
    st = start_report(&check, err);
    if (st != GF_OK)
        goto done;
    st = inspect_all(&check, obs, err);
    if (st != GF_OK)
        goto done;
    for (size_t i = 0; i < check.n_own; i++)
        check.report->n_readable += check.facts[i].why == NULL ? 1 : 0;
    st = gf__find_matches(check.facts, check.n_own, check.n, check.options.near_distance, obs,
                          check.own, check.across, err);
    if (st != GF_OK)
        goto done;
    st = say_all(&check, err);
    if (st != GF_OK)
        goto done;
    *out = check.report;
    check.report = NULL;
done:
    for (size_t i = 0; check.facts != NULL && i < check.n; i++)
        gf__free(check.facts[i].why);
    gf__free(check.facts);
    gf__free(check.own);
    gf__free(check.across);
    gf_check_report_free(check.report);
    return st;
}
