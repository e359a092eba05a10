/* Lists of pictures: CSV record by record, and CSV and JSON lines as data sets. Files need only be
 * there: opening reads none of them. */
#include <sys/stat.h>

#include "data/csv_priv.h"
#include "data/dataset_priv.h"
#include "dataset_files.h"

/* ---- records --------------------------------------------------------------------------------- */

/* All records as "a|b;c|d;" with the text of the failure at the end. */
static const char *parse(const char *text, size_t n_bytes)
{
    static char out[4096];
    gf__csv csv;
    gf_error err = {0};
    gf_status st;

    out[0] = '\0';
    gf__csv_start(&csv, text, n_bytes);
    while ((st = gf__csv_next(&csv, &err)) == GF_OK && csv.n_fields > 0) {
        for (size_t i = 0; i < csv.n_fields; i++) {
            strcat(out, i > 0 ? "|" : "");
            strcat(out, gf__csv_field(&csv, i));
        }
        strcat(out, ";");
    }
    gf__csv_end(&csv);
    return strcat(out, err.message);
}

static void check_records(const char *text, const char *want)
{
    CHECK_STR(parse(text, strlen(text)), want);
}

TEST(csv__reads_plain_records_and_every_line_end)
{
    check_records("a,b\nc,d\n", "a|b;c|d;");
    check_records("a,b\r\nc,d", "a|b;c|d;");
    check_records("a,b\rc,d\r", "a|b;c|d;");
    check_records("\xef\xbb\xbf"
                  "a,b\n",
                  "a|b;");
    check_records("", "");
    check_records("\n\r\n  \n", "");
    check_records("a,b\n\n\nc,d\n\n", "a|b;c|d;");
    check_records("a,,\n,,b\n", "a||;||b;");
}

TEST(csv__reads_quotes_as_rfc_4180)
{
    check_records("\"a,b\",c\n", "a,b|c;");
    check_records("\"say \"\"hi\"\"\",c\n", "say \"hi\"|c;");
    check_records("\"two\nlines\",c\nd,e\n", "two\nlines|c;d|e;");
    check_records("\"\",\"\"\n", "|;");
    check_records("a , \"b \" ,c\n", "a|b |c;");
}

TEST(csv__takes_semicolons_and_tabs)
{
    check_records("a;b\nc,d;e\n", "a|b;c,d|e;");
    check_records("a\tb c\nd\te\n", "a|b c;d|e;");
    check_records("a\t\tb\n", "a||b;");
}

TEST(csv__says_line_and_column_of_a_mistake)
{
    check_records("a,b\nc,\"d\n", "a|b;line 2, column 2: a quote is opened and never closed");
    check_records("a,b\n\"c\"d,e\n", "a|b;line 2, column 1: text after the closing quote");
    check_records(
        "\"a\nb\",c\nd,e\"f\n",
        "a\nb|c;line 3, column 2: a quote inside a field; put the field in quotes and write \"\"");
    CHECK_STR(parse("a,b\0c\n", 6), "line 1, column 2: a NUL byte; this is no text");
}

TEST(csv__has_limits)
{
    const size_t n = GF__CSV_MAX_FIELD_BYTES + 2;
    char *text = calloc(n + 1, 1);
    gf__csv csv;

    memset(text, 'x', n);
    gf__csv_start(&csv, text, GF__CSV_MAX_FIELD_BYTES);
    CHECK_OK(gf__csv_next(&csv, &check_err));
    CHECK_EQ(strlen(gf__csv_field(&csv, 0)), GF__CSV_MAX_FIELD_BYTES);
    gf__csv_end(&csv);
    gf__csv_start(&csv, text, GF__CSV_MAX_FIELD_BYTES + 1);
    CHECK_FAILS(GF_ELIMIT, "line 1, column 1: more than 65536 bytes",
                gf__csv_next(&csv, &check_err));
    gf__csv_end(&csv);

    memset(text, ',', n);
    gf__csv_start(&csv, text, GF__CSV_MAX_FIELDS - 1);
    CHECK_OK(gf__csv_next(&csv, &check_err));
    CHECK_EQ(csv.n_fields, GF__CSV_MAX_FIELDS);
    gf__csv_end(&csv);
    gf__csv_start(&csv, text, GF__CSV_MAX_FIELDS);
    CHECK_FAILS(GF_ELIMIT, "line 1: more than 256 columns", gf__csv_next(&csv, &check_err));
    gf__csv_end(&csv);
    free(text);
}

/* ---- data sets ------------------------------------------------------------------------------- */

/* A folder with empty files a.jpg ... d.jpg, sub/e.jpg and a list of the given text. */
typedef struct fixture {
    char *dir;
    char list[512];
} fixture;

static void write_text(const char *path, const char *text)
{
    CHECK_OK(gf__write_file(path, text, strlen(text), &check_err));
}

static fixture make_fixture(const char *text)
{
    static const char *const names[] = {"a.jpg", "b.jpg", "c.jpg", "d.jpg", "sub/e.jpg"};
    fixture f = {.dir = check_temp_dir()};
    char path[512];

    snprintf(path, sizeof path, "%s/sub", f.dir);
    CHECK_EQ(mkdir(path, 0777), 0);
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", f.dir, names[i]);
        write_text(path, "");
    }
    snprintf(f.list, sizeof f.list, "%s/list.txt", f.dir);
    write_text(f.list, text);
    return f;
}

static void check_list(const char *text, const gf_dataset_options *options, const char *want)
{
    fixture f = make_fixture(text);
    gf_dataset *set = NULL;

    CHECK_OK(gf_dataset_open(f.list, options, NULL, &set, &check_err));
    CHECK_STR(describe_set(set), want);
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

static void check_refused(const char *text, gf_status code, const char *part)
{
    fixture f = make_fixture(text);
    gf_dataset *set = NULL;

    CHECK_FAILS(code, part, gf_dataset_open(f.list, NULL, NULL, &set, &check_err));
    CHECK(set == NULL);
    CHECK(strstr(check_err.message, "list.txt: ") != NULL); /* the file is named, once */
    CHECK(strstr(strstr(check_err.message, "list.txt: ") + 1, "list.txt: ") == NULL);
    check_remove_dir(f.dir);
}

TEST(dataset_csv__needs_no_header)
{
    check_list("a.jpg,cat\nb.jpg,dog\nsub/e.jpg,cat\n", NULL,
               "csv cat dog: a.jpg=0 b.jpg=1 sub/e.jpg=0");
}

TEST(dataset_csv__finds_its_columns_by_header)
{
    check_list("id,Label,FileName\r\n1,dog,b.jpg\r\n2,cat,a.jpg\r\n", NULL,
               "csv cat dog: b.jpg=1 a.jpg=0");
    check_list("\xef\xbb\xbf"
               "image;class\na.jpg;x\nb.jpg;\"y;z\"\n",
               NULL, "csv x y;z: a.jpg=0 b.jpg=1");
}

TEST(dataset_csv__orders_number_labels_as_numbers)
{
    check_list("a.jpg,10\nb.jpg,9\nc.jpg,2\n", NULL, "csv 2 9 10: a.jpg=2 b.jpg=1 c.jpg=0");
    check_list("a.jpg,10\nb.jpg,9\nc.jpg,x\n", NULL, "csv 10 9 x: a.jpg=0 b.jpg=1 c.jpg=2");
}

TEST(dataset_csv__takes_class_names_for_number_labels)
{
    static const char *const names[] = {"cat", "dog", "owl"};
    const gf_dataset_options options = {names, 3, false};
    gf_dataset *set = NULL;

    check_list("a.jpg,1\nb.jpg,0\n", &options, "csv cat dog owl: a.jpg=1 b.jpg=0");
    fixture f = make_fixture("a.jpg,1\nb.jpg,3\n");
    CHECK_FAILS(GF_EFORMAT, "label of b.jpg is 3, expected 0 to 2",
                gf_dataset_open(f.list, &options, NULL, &set, &check_err));
    check_remove_dir(f.dir);
}

TEST(dataset_csv__says_what_is_wrong_and_where)
{
    check_refused("a.jpg,cat\nb.jpg\n", GF_EFORMAT,
                  "line 2: 1 column, expected 2 as in the first line");
    check_refused("a.jpg,cat\n,dog\n", GF_EFORMAT, "line 2, column 1: no path");
    check_refused("label,path\n,a.jpg\n", GF_EFORMAT, "line 2, column 1: no label");
    check_refused("a.jpg\nb.jpg\n", GF_EFORMAT, "line 1: one column only (a.jpg), expected two");
    check_refused("path,tag,x\na.jpg,cat,1\n", GF_EFORMAT, "line 1: the columns are path, tag, x");
    check_refused("photo,kind\na.jpg,cat\n", GF_EFORMAT, "line 1: the columns are photo, kind");
    check_refused("path,label\n", GF_EFORMAT, "no pictures listed");
    check_refused("a.jpg,\"cat\n", GF_EFORMAT, "line 1, column 2: a quote is opened");
    check_refused("a.jpg,caf\xe9\n", GF_EFORMAT, "line 1, column 2: the label 'caf?' is not UTF-8");
    check_refused("https://x.org/a.jpg,cat\n", GF_EFORMAT, "graft dataset make");
    check_refused("", GF_EFORMAT, "empty file");
    check_refused("\n\n", GF_EFORMAT, "no pictures listed");
    check_refused("[{\"path\":\"a.jpg\"}]", GF_EFORMAT, "expected JSON lines");
    check_refused("\xff\xfe"
                  "a",
                  GF_EFORMAT, "UTF-16");
}

TEST(dataset_csv__refuses_a_list_of_which_nothing_is_there)
{
    check_refused("x/1.jpg,cat\nx/2.jpg,dog\n", GF_ENOTFOUND, "none of the 2 pictures is there");
}

static void count_warning(void *user, gf_log_level level, const char *message)
{
    CHECK_EQ(level, GF_LOG_WARNING);
    CHECK(strstr(message, "1 of 3 pictures are not there") != NULL);
    CHECK(strstr(message, "gone.jpg") != NULL);
    ++*(int *)user;
}

TEST(dataset_csv__warns_of_files_that_are_not_there)
{
    fixture f = make_fixture("a.jpg,cat\ngone.jpg,dog\nb.jpg,dog\n");
    int n_warnings = 0;
    gf_dataset *set = NULL;
    gf_sample sample;

    CHECK_OK(gf_dataset_open(
        f.list, NULL, &(gf_observer){.log = count_warning, .user = &n_warnings}, &set, &check_err));
    CHECK_EQ(n_warnings, 1);
    CHECK_EQ(gf_dataset_n_items(set), 3);
    CHECK_FAILS(GF_ENOTFOUND, "gone.jpg", gf_dataset_read(set, 1, &sample, &check_err));
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

TEST(dataset_csv__keeps_absolute_paths)
{
    fixture f = make_fixture("");
    char text[1100], want[1100];
    gf_dataset *set = NULL;

    snprintf(text, sizeof text, "%s/sub/e.jpg,cat\na.jpg,dog\n", f.dir);
    write_text(f.list, text);
    CHECK_OK(gf_dataset_open(f.list, NULL, NULL, &set, &check_err));
    snprintf(want, sizeof want, "%s/sub/e.jpg", f.dir);
    CHECK_STR(gf_dataset_file_at(set, 0), want);
    CHECK_STR(gf_dataset_item_at(set, 0), want);
    snprintf(want, sizeof want, "%s/a.jpg", f.dir);
    CHECK_STR(gf_dataset_file_at(set, 1), want);
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

TEST(dataset_jsonl__reads_the_keys_people_use)
{
    check_list(
        "{\"path\":\"a.jpg\",\"label\":\"cat\"}\n\n "
        "{\"image\":\"b.jpg\",\"class\":\"dog\",\"x\":[1]}\r\n"
        "{\"file\":\"c.jpg\",\"label\":\"cat\"}\n{\"file_name\":\"sub/e.jpg\",\"label\":\"cat\"}",
        NULL, "jsonl cat dog: a.jpg=0 b.jpg=1 c.jpg=0 sub/e.jpg=0");
    check_list("{\"path\":\"a.jpg\",\"label\":1}\n{\"path\":\"b.jpg\",\"label\":0}\n", NULL,
               "jsonl 0 1: a.jpg=1 b.jpg=0");
}

TEST(dataset_jsonl__says_what_is_wrong_and_where)
{
    check_refused("{\"path\":\"a.jpg\",\"label\":\"cat\"}\n{\"path\":\n", GF_EFORMAT, "line 2: ");
    check_refused("{\"label\":\"cat\"}\n", GF_EFORMAT, "line 1: no key 'path'");
    check_refused("{\"path\":\"a.jpg\"}\n", GF_EFORMAT, "line 1: no key 'label'");
    check_refused("{\"path\":7,\"label\":\"cat\"}\n", GF_EFORMAT, "line 1: 'path' is not a string");
    check_refused("{\"path\":\"\",\"label\":\"cat\"}\n", GF_EFORMAT, "line 1: 'path': no path");
    check_refused("{\"path\":\"a.jpg\",\"label\":\"\"}\n", GF_EFORMAT, "line 1: 'label': no label");
    check_refused("{\"path\":\"a.jpg\",\"label\":1.5}\n", GF_EFORMAT,
                  "neither a name nor a whole number");
    check_refused("{\"path\":\"a.jpg\",\"label\":-1}\n", GF_EFORMAT,
                  "neither a name nor a whole number");
    check_refused("{\"path\":\"a.jpg\",\"label\":\"x\"}\n[1]\n", GF_EFORMAT,
                  "line 2: not an object");
}

TEST(dataset_csv__survives_every_allocation_failure)
{
    fixture f = make_fixture("a.jpg,cat\nb.jpg,dog\n");
    gf_dataset *set = NULL;
    gf_status st = GF_ENOMEM;

    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_dataset_open(f.list, NULL, NULL, &set, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && set == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

TESTS_MAIN(UNIT(csv__reads_plain_records_and_every_line_end), UNIT(csv__reads_quotes_as_rfc_4180),
           UNIT(csv__takes_semicolons_and_tabs), UNIT(csv__says_line_and_column_of_a_mistake),
           UNIT(csv__has_limits), UNIT(dataset_csv__needs_no_header),
           UNIT(dataset_csv__finds_its_columns_by_header),
           UNIT(dataset_csv__orders_number_labels_as_numbers),
           UNIT(dataset_csv__takes_class_names_for_number_labels),
           UNIT(dataset_csv__says_what_is_wrong_and_where),
           UNIT(dataset_csv__refuses_a_list_of_which_nothing_is_there),
           UNIT(dataset_csv__warns_of_files_that_are_not_there),
           UNIT(dataset_csv__keeps_absolute_paths), UNIT(dataset_jsonl__reads_the_keys_people_use),
           UNIT(dataset_jsonl__says_what_is_wrong_and_where),
           UNIT(dataset_csv__survives_every_allocation_failure))
