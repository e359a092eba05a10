/* test_registry_blobs.c: addresses that lead where they may, files stored once, rubbish
 * collected. */
#include "registry_home.h"

#include "registry/registry.h"

static void refuse(const char *address, const char *message)
{
    char *path = NULL;
    CHECK_FAILS(GF_EINVAL, message, gf__registry_resolve(registry, address, &path, &check_err));
    assert_null(path);
}

TEST(resolve__keeps_gs_addresses_inside_their_bucket)
{
    char want[4096];
    char *path = NULL;
    CHECK_OK(gf__registry_resolve(registry, "gs://flowers-2.eu/a/b.c/", &path, &check_err));
    snprintf(want, sizeof want, "%s/buckets/flowers-2.eu/a/b.c", home);
    CHECK_STR(path, want);
    gf__free(path);
    CHECK_OK(gf__registry_resolve(registry, "gs://flowers/..a/b..", &path, &check_err));
    gf__free(path);
    refuse("gs://flowers/../../secret", "an empty part, \".\" or \"..\" is not allowed");
    refuse("gs://flowers/a/..", "\"..\" is not allowed");
    refuse("gs://flowers/./a", "\".\" or");
    refuse("gs://flowers//etc", "an empty part");
    refuse("gs://../blobs", "a bucket has 3 to 63");
    refuse("gs:///etc/passwd", "a bucket has 3 to 63");
    refuse("gs://Flowers/a", "a bucket has 3 to 63");
    refuse("gs://ab/c", "a bucket has 3 to 63");
    refuse("s3://bucket/a", "expected gs://BUCKET/PATH");
    refuse("/etc/passwd", "a path is taken on the server's own machine only");
    refuse("", "expected gs://BUCKET/PATH");
}

TEST(resolve__follows_no_link_in_a_bucket)
{
    char link[4096];
    put_object("bucket/model/f", "weights");
    snprintf(link, sizeof link, "%s/buckets/bucket/out", home);
    CHECK_EQ(symlink("/etc", link), 0);
    refuse("gs://bucket/out", "out is a link; links are not followed");
    refuse("gs://bucket/out/passwd", "out is a link");
    snprintf(link, sizeof link, "%s/buckets/linked", home);
    CHECK_EQ(symlink("/etc", link), 0);
    refuse("gs://linked/passwd", "linked is a link");
    snprintf(link, sizeof link, "%s/buckets/bucket/model/g", home);
    CHECK_EQ(symlink("/etc/passwd", link), 0);
    lock_home();
    create_version("v1");
    run_all(NULL);
    CHECK_VALUE(text, "error.message", "deploymentUri: g: a link; links are not followed here");
}

static void reopen(const char *file_root)
{
    gf_registry_options options = gf_registry_options_default();
    options.home = home;
    options.file_roots = &file_root;
    options.n_file_roots = 1;
    gf_registry_close(registry);
    registry = NULL;
    CHECK_OK(gf_registry_open(&options, &registry, &check_err));
}

TEST(resolve__takes_file_addresses_below_the_roots_only)
{
    char root[4096], address[8192], link[8192];
    char *path = NULL;
    put_object("bucket/a b/f", "weights");
    put_object("bucket-2/f", "weights");
    refuse("file:///etc/passwd", "file:// addresses are not allowed here");
    snprintf(root, sizeof root, "%s/buckets/bucket", home);
    reopen(root);
    snprintf(address, sizeof address, "file://%s/a%%20b/f", root);
    CHECK_OK(gf__registry_resolve(registry, address, &path, &check_err));
    assert_non_null(strstr(path, "/bucket/a b/f"));
    gf__free(path);
    refuse("file:///etc/passwd", "not below a folder that file:// may point into");
    refuse("file:///etc/no-such-file", "not below a folder"); /* the same answer */
    snprintf(address, sizeof address, "file://%s/../bucket-2/f", root);
    refuse(address, "not below a folder");
    snprintf(address, sizeof address, "file://%s-2/f", root); /* a prefix of a name is no folder */
    refuse(address, "not below a folder");
    snprintf(link, sizeof link, "%s/out", root);
    CHECK_EQ(symlink("/etc", link), 0);
    snprintf(address, sizeof address, "file://%s/out/passwd", root);
    refuse(address, "not below a folder");
    refuse("file://host/a", "expected file:///PATH");
    refuse("file:///a%2", "a '%' without two hex digits");
    refuse("file:///a%00b", "a '%' without two hex digits");
}

TEST(local_paths__are_taken_from_callers_on_this_machine)
{
    char body[8192];
    lock_home();
    create_version("v0");
    gf_registry *local = open_home(true);
    snprintf(body, sizeof body, "{\"name\":\"v1\",\"deploymentUri\":\"%s/buckets/bucket\"}", home);
    GET(gf_registry_create_version(local, MODEL, body, &text, &check_err));
    REFUSES(GF_ENOTFOUND, "deploymentUri: /no/such",
            gf_registry_create_version(local, MODEL,
                                       "{\"name\":\"v2\",\"deploymentUri\":\"/no/such\"}", &text,
                                       &check_err));
    gf_registry_close(local);
    run_all(NULL); /* by the one that would not have taken it */
    CHECK_VALUE(text, "response.state", "READY");
    gf_registry_files files;
    CHECK_OK(gf_registry_get_files(registry, V1, &files, &check_err));
    CHECK_EQ(files.n_files, 1);
    CHECK_STR(files.files[0].path, "model/flowers.safetensors");
    gf_registry_free_files(&files);
}

TEST(versions__share_the_bytes_they_have_in_common)
{
    gf_registry_files files;
    char *bytes = NULL;
    size_t size = 0;
    lock_home();
    put_object("bucket/model/trunk", "trunk");
    put_object("bucket/model/sub/copy", "trunk");
    deploy_version("v1");
    deploy_version("v2");
    CHECK_EQ(count_blobs(), 2);
    put_object("bucket/model/trunk", "another"); /* what a version has stays as it was */
    CHECK_OK(gf_registry_get_files(registry, V1, &files, &check_err));
    CHECK_EQ(files.n_files, 3);
    CHECK_STR(files.files[2].path, "trunk");
    CHECK_STR(files.files[1].path, "sub/copy");
    CHECK_STR(files.files[1].blob_path, files.files[2].blob_path);
    CHECK_EQ(files.files[2].size_bytes, 5);
    char digest[GF__SHA256_HEX];
    gf__sha256_hex("trunk", 5, digest);
    CHECK_STR(files.files[2].sha256, digest);
    CHECK_OK(gf__read_file(files.files[2].blob_path, 100, &bytes, &size, &check_err));
    CHECK_STR(bytes, "trunk");
    gf__free(bytes);
    gf_registry_free_files(&files);
}

TEST(collect__removes_what_no_version_uses)
{
    char path[4096];
    size_t n_removed = 0;
    lock_home();
    deploy_version("v1");
    put_object("bucket/model/second", "more");
    deploy_version("v2");
    CHECK_EQ(count_blobs(), 2);
    snprintf(path, sizeof path, "%s/blobs/ab", home);
    CHECK_OK(gf__make_dirs(path, &check_err));
    snprintf(path, sizeof path, "%s/blobs/ab/cd.tmp.1.0", home); /* of a process that was killed */
    CHECK_OK(gf__write_file(path, "x", 1, &check_err));
    CHECK_OK(gf_registry_collect(registry, 3600, &n_removed, &check_err));
    CHECK_EQ(n_removed, 1);
    GET(gf_registry_delete_version(registry, V2, &text, &check_err));
    run_all(NULL);
    CHECK_EQ(count_blobs(), 2);
    CHECK_OK(gf_registry_collect(registry, 3600, &n_removed, &check_err));
    CHECK_EQ(n_removed, 1);
    CHECK_EQ(count_blobs(), 1); /* v1 has it still */
    GET(gf_registry_list_operations(registry, PROJECT, NULL, &text, &check_err));
    CHECK_VALUE(text, "operations.2.done", "true");
    CHECK_OK(
        gf_registry_collect(registry, -1, NULL, &check_err)); /* of operations nothing is kept */
    GET(gf_registry_list_operations(registry, PROJECT, NULL, &text, &check_err));
    CHECK_STR(text, "{}");
}

TEST(create_version__replaces_a_blob_that_was_cut)
{
    gf_registry_files files;
    uint64_t size_bytes = 0;
    lock_home();
    deploy_version("v1");
    CHECK_OK(gf_registry_get_files(registry, V1, &files, &check_err));
    CHECK_EQ(chmod(files.files[0].blob_path, 0644), 0);
    CHECK_EQ(truncate(files.files[0].blob_path, 2), 0);
    deploy_version("v2");
    CHECK_OK(gf__file_size(files.files[0].blob_path, &size_bytes, &check_err));
    CHECK_EQ(size_bytes, strlen("weights"));
    gf_registry_free_files(&files);
}

static bool change_source(void *user, const gf_progress *progress)
{
    if (progress->n_done == progress->n_total)
        put_object("bucket/model/flowers.safetensors", "WEIGHTS");
    return true;
}

/* In place: a writer that renames would leave the old bytes to who has them open. */
static bool overwrite_source(void *user, const gf_progress *progress)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/buckets/bucket/model/flowers.safetensors", home);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fputs("WEIGHTS", file);
    fclose(file);
    return true;
}

TEST(create_version__notices_a_source_that_changes_while_it_is_copied)
{
    gf_observer observer = {.progress = overwrite_source};
    lock_home();
    create_version("v1");
    GET(gf_registry_run_operation(registry, NULL, NULL, &observer, &text, &check_err));
    CHECK_VALUE(
        text, "error.message",
        "deploymentUri: flowers.safetensors: changed while it was copied; create the version "
        "again");
    CHECK_EQ(count_blobs(), 0);
    observer.progress = change_source;
    create_version("v2");
    GET(gf_registry_run_operation(registry, NULL, NULL, &observer, &text, &check_err));
    CHECK_VALUE(text, "response.state", "READY");
}

static void reopen_with_limits(size_t n_files, uint64_t n_bytes)
{
    gf_registry_options options = gf_registry_options_default();
    options.home = home;
    options.max_version_files = n_files;
    options.max_version_bytes = n_bytes;
    gf_registry_close(registry);
    registry = NULL;
    CHECK_OK(gf_registry_open(&options, &registry, &check_err));
    lock_home();
}

TEST(create_version__counts_files_and_bytes)
{
    put_object("bucket/model/b", "123"); /* beside the seven bytes of create_version() */
    reopen_with_limits(2, 10);
    deploy_version("v1");
    reopen_with_limits(1, 10);
    create_version("v2");
    run_all(NULL);
    CHECK_VALUE(text, "error.message", "deploymentUri: more than 1 files");
    reopen_with_limits(2, 9);
    create_version("v3");
    run_all(NULL);
    CHECK_VALUE(text, "error.code", "9");
    CHECK_VALUE(text, "error.message", "deploymentUri: files of more than 9 bytes together");
}

TEST(create_version__refuses_pipes_and_takes_empty_files)
{
    char path[4096];
    lock_home();
    put_object("bucket/model/empty", "");
    deploy_version("v1");
    snprintf(path, sizeof path, "%s/buckets/bucket/model/pipe", home);
    CHECK_EQ(mkfifo(path, 0600), 0);
    create_version("v2");
    run_all(NULL);
    CHECK_VALUE(text, "error.message", "deploymentUri: pipe: neither a file nor a folder");
}

TESTS_MAIN(HOME_UNIT(resolve__keeps_gs_addresses_inside_their_bucket),
           HOME_UNIT(resolve__follows_no_link_in_a_bucket),
           HOME_UNIT(resolve__takes_file_addresses_below_the_roots_only),
           HOME_UNIT(local_paths__are_taken_from_callers_on_this_machine),
           HOME_UNIT(versions__share_the_bytes_they_have_in_common),
           HOME_UNIT(collect__removes_what_no_version_uses),
           HOME_UNIT(create_version__replaces_a_blob_that_was_cut),
           HOME_UNIT(create_version__notices_a_source_that_changes_while_it_is_copied),
           HOME_UNIT(create_version__counts_files_and_bytes),
           HOME_UNIT(create_version__refuses_pipes_and_takes_empty_files))
