/* Packing pictures from lists of addresses into an .npz (file:// ones: no test needs a network): how a list is
 * read, what is downloaded, and what a stopped run leaves for the next. */
#include "dataset_packing.h"

/* ---- lists of addresses ---------------------------------------------------------------------- */

/* "http://a=cat http://b=dog | skipped; ..." or the message of the failure. */
static const char *parse(const char *text)
{
    static char out[2048];
    gf_dataset *set = NULL;
    gf__names labels = {0}, skipped = {0};
    gf_error err = {0};
    size_t n = 0;

    out[0] = '\0';
    CHECK(gf__is_url_list(text, strlen(text)));
    CHECK_OK(gf__dataset_new("list", &set, &check_err));
    if (gf__urls_read(set, text, strlen(text), &labels, &skipped, &err) != GF_OK)
        snprintf(out, sizeof out, "%s", err.message);
    for (size_t i = 0; i < labels.n && err.message[0] == '\0'; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s=%s", i > 0 ? " " : "",
                              gf_dataset_item_at(set, i), labels.at[i]);
    for (size_t i = 0; i < skipped.n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, " | %s", skipped.at[i]);
    gf__names_free(&labels);
    gf__names_free(&skipped);
    gf_dataset_free(set);
    return out;
}

TEST(urls__are_read_from_lines_and_tables)
{
    CHECK_STR(parse("http://x/1.jpg cat\nhttps://x/2.jpg dog"),
              "http://x/1.jpg=cat https://x/2.jpg=dog");
    CHECK_STR(parse("# mine\n\n  http://x/1.jpg\t big  cat \r\n#http://x/2.jpg dog\n"),
              "http://x/1.jpg=big  cat");
    CHECK_STR(parse("http://x/1,2.jpg,cat\n"), "http://x/1,2.jpg=cat");
    CHECK_STR(parse("http://x/1.jpg, big cat\n"), "http://x/1.jpg=big cat");
    CHECK_STR(parse("http://x/1.jpg#top,cat\n"), "http://x/1.jpg#top=cat");
    CHECK_STR(parse("\xef\xbb\xbfHTTP://x/1.jpg cat\n"), "HTTP://x/1.jpg=cat");
    CHECK_STR(parse("id,label,url\n1,cat,http://x/1.jpg\n2,\"a, b\",\"http://x/2,3.jpg\"\n"),
              "http://x/1.jpg=cat http://x/2,3.jpg=a, b");
    CHECK_STR(parse("\"http://x/1.jpg\",\"cat\"\n"), "http://x/1.jpg=cat");
}

TEST(urls__that_stand_there_twice_are_taken_once)
{
    CHECK_STR(parse("http://x/1 a\nhttp://x/2 b\nhttp://x/1 a\nhttp://x/3 c\nhttp://x/1 b\n"),
              "http://x/1=a http://x/2=b http://x/3=c | http://x/1: stands in the list twice"
              " | http://x/1: stands in the list twice");
}

TEST(urls__errors_say_the_line)
{
    CHECK_STR(parse("http://x/1.jpg cat\n\nhttp://x/2.jpg\n"),
              "line 3: no label after the address; expected ADDRESS LABEL");
    CHECK_STR(parse("http://x/1.jpg cat\nx/2.jpg dog\n"),
              "line 2: x/2.jpg is no address; expected http://... or https://...");
    CHECK_STR(parse("http://x/1.jpg caf\xe9\n"),
              "line 1: the label 'caf?' is not UTF-8; save the list as UTF-8");
    CHECK_STR(parse("url,name\nhttp://x/1.jpg,cat\n"),
              "line 1: a column 'url' and no column 'label'");
    CHECK_STR(parse("url,label\n"), "no addresses, expected lines of ADDRESS LABEL");
    CHECK_STR(parse("url,label\nhttp://x/1.jpg\n"),
              "line 2: 1 column, expected an address and a label");
    CHECK_STR(parse("url,label\nhttp://x/1.jpg,\n"), "line 2: no label");
}

TEST(urls__are_told_from_other_text)
{
    CHECK(!gf__is_url_list("", 0));
    CHECK(!gf__is_url_list("# http://x/1 a\n", 15));
    CHECK(!gf__is_url_list("path,label\nhttp://x/1,a\n", 24));
    CHECK(!gf__is_url_list("httpd.png,a\n", 12));
    CHECK(!gf__is_url_list("http://", 7));
}

TEST(make__downloads_and_lists_the_unreachable)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char file[600];

    write_list(&f, "# pictures\nfile://%s/cat/1.png cat\nfile://%s/cat/gone.png cat\n"
                   "file://%s/dog/5.png,dog\nfile://%s/dog/4.png dog\nfile://%s/cat/1.png dog\n"
                   "http://127.0.0.1:9/1.png owl\n");
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 2);
    CHECK_EQ(result->n_skipped, 4);
    CHECK(strstr(result->skipped[0], "cat/1.png: stands in the list twice") != NULL);
    CHECK(strstr(result->skipped[1], "cat/gone.png: ") != NULL);
    CHECK(strstr(result->skipped[2], "dog/4.png: ") != NULL);
    CHECK(strncmp(result->skipped[3], "http://127.0.0.1:9/1.png: ", 26) == 0);
    for (size_t i = 0; i < 4; i++) /* the address once, the folder of downloads not at all */
        CHECK(strstr(result->skipped[i] + 8, "://") == NULL &&
              strstr(result->skipped[i], ".downloads") == NULL);
    gf_make_result_free(result);
    check_left(&f, "list.txt out.npz set");

    gf_dataset *set = open_output(&f);
    CHECK_EQ(gf_dataset_n_items(set), 2);
    CHECK_EQ(gf_dataset_n_classes(set), 3);
    CHECK_STR(gf_dataset_class_at(set, 2), "owl");
    snprintf(file, sizeof file, "%s/cat/1.png", f.source);
    check_row(set, 0, file);
    snprintf(file, sizeof file, "%s/dog/5.png", f.source);
    check_row(set, 1, file);
    CHECK_EQ(gf_dataset_label_at(set, 1), 1);
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

TEST(make__removes_only_what_it_downloaded)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char dir[600], mine[700];

    snprintf(dir, sizeof dir, "%s.downloads", f.output);
    snprintf(mine, sizeof mine, "%s/mine.txt", dir);
    CHECK_OK(gf__make_dirs(dir, &check_err));
    CHECK_OK(gf__write_file(mine, "x", 1, &check_err));
    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/5.png dog\n");
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    gf__dir_list list;
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    CHECK_EQ(list.n_names, 1);
    CHECK_STR(list.names[0], "mine.txt");
    gf__dir_list_free(&list);
    check_remove_dir(f.dir);
}

TEST(make__leaves_nothing_where_no_address_answers)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;

    write_list(&f, "file://%s/gone/1.png cat\nfile://%s/gone/2.png dog\n");
    CHECK_FAILS(GF_ENOTFOUND, "none of the 2 pictures could be had; file://",
                gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    check_left(&f, "list.txt set");
    check_remove_dir(f.dir);
}

/* ---- stopping -------------------------------------------------------------------------------- */

TEST(make__goes_on_with_the_downloads_of_a_stopped_run)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char file[600];

    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/5.png dog\n");
    check_stopped(&f, f.list, "decode", 0, "list.txt out.npz.downloads set");
    /* What was had is not asked for again. */
    snprintf(file, sizeof file, "%s/cat/1.png", f.source);
    CHECK_EQ(remove(file), 0);
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 2);
    gf_make_result_free(result);
    check_left(&f, "list.txt out.npz set");
    check_remove_dir(f.dir);
}

TEST(make__does_not_share_its_downloads)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    gf__downloads *first = NULL;
    char dir[600];

    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/5.png dog\n");
    snprintf(dir, sizeof dir, "%s.downloads", f.output);
    CHECK_OK(gf__downloads_open(dir, &first, &check_err));
    CHECK_FAILS(GF_EBUSY, "out.npz.downloads",
                gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    check_left(&f, "list.txt out.npz.downloads set");
    CHECK(!gf__downloads_close(first, true));
    check_left(&f, "list.txt set");
    check_remove_dir(f.dir);
}

TEST(make__can_be_stopped_while_downloading)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;

    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/cat/2.png cat\nfile://%s/dog/5.png dog\n");
    check_stopped(&f, f.list, "download", 0, "list.txt set");
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 3);
    gf_make_result_free(result);
    check_remove_dir(f.dir);
}

TESTS_MAIN(UNIT(urls__are_read_from_lines_and_tables),
           UNIT(urls__that_stand_there_twice_are_taken_once), UNIT(urls__errors_say_the_line),
           UNIT(urls__are_told_from_other_text), UNIT(make__downloads_and_lists_the_unreachable),
           UNIT(make__removes_only_what_it_downloaded),
           UNIT(make__leaves_nothing_where_no_address_answers),
           UNIT(make__goes_on_with_the_downloads_of_a_stopped_run),
           UNIT(make__does_not_share_its_downloads), UNIT(make__can_be_stopped_while_downloading))
