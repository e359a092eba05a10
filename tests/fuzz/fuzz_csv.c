/* fuzz_csv.c: any bytes as each kind of list of pictures: CSV, JSON lines, addresses. What was read
 * makes up classes. */
#include <assert.h>

#include "data/csv_priv.h"
#include "data/make_priv.h"
#include "fuzz.h"

typedef gf_status (*list_reader)(gf_dataset *set, const char *text, size_t n_bytes,
                                 gf__names *labels, gf_error *err);

static gf_status read_csv(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                          gf_error *err)
{
    return gf__csv_set_read(set, text, n_bytes, "dir/", labels, err);
}

static gf_status read_jsonl(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                            gf_error *err)
{
    return gf__jsonl_set_read(set, text, n_bytes, "dir/", labels, err);
}

static gf_status read_numbers(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                              gf_error *err)
{
    (void)gf__is_number_table(text, n_bytes);
    return gf__number_table_read(set, text, n_bytes, text[0] == '1', labels, err);
}

static gf_status read_urls(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                           gf_error *err)
{
    gf__names skipped = {0};
    gf_status st;

    (void)gf__is_url_list(text, n_bytes);
    st = gf__urls_read(set, text, n_bytes, labels, &skipped, err);
    gf__names_free(&skipped);
    return st;
}

static void read_list(list_reader read, const char *text, size_t n_bytes)
{
    static const char *const names[] = {"a", "b", "c"};
    const gf_dataset_options options = {names, text[0] == '0' ? 3 : 0, false};
    gf_dataset *set = NULL;
    gf__names labels = {0};
    gf_error err;

    if (gf__dataset_new("list", &set, &err) != GF_OK)
        return;
    if (read(set, text, n_bytes, &labels, &err) == GF_OK) {
        assert(labels.n == gf_dataset_n_items(set) && labels.n > 0);
        if (gf__labels_resolve(set, &labels, &options, &err) == GF_OK) {
            for (size_t i = 0; i < labels.n; i++)
                assert(gf_dataset_label_at(set, i) < gf_dataset_n_classes(set));
        }
    }
    gf__names_free(&labels);
    gf_dataset_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    const char *text = (const char *)bytes;

    if (n_bytes == 0)
        return 0;
    read_list(read_csv, text, n_bytes);
    read_list(read_numbers, text, n_bytes);
    read_list(read_jsonl, text, n_bytes);
    read_list(read_urls, text, n_bytes);
    return 0;
}
