/* test_task_package.c: packages of users: unpacked, looked through for requirements, put in
 * place; and archives that want to write elsewhere. */
#include "task_home.h"

#include "base/base.h"

static const gf__archive_limits roomy = {.max_entries = 1000, .max_bytes = 10 << 20};

static char source[1024], target[1024];

/* packages/NAME into ROOT/unpacked. */
static gf_status unpack_within(const char *name, const gf__archive_limits *limits)
{
    snprintf(source, sizeof source, "%s", path_in(packages, name));
    snprintf(target, sizeof target, "%s", path_in(root, "unpacked"));
    return gf__archive_unpack(NULL, source, target, limits, &check_err);
}

static bool is_file_in(const char *dir, const char *name)
{
    return gf__is_file(path_in(dir, name));
}

static void check_text(const char *name, const char *expected)
{
    char *text = NULL;
    CHECK_OK(gf__read_file(path_in(target, name), 10000, &text, &(size_t){0}, &check_err));
    CHECK_STR(text, expected);
    gf__free(text);
}

/* ---- archives ---- */

TEST(unpack__reads_what_python_packages_come_in)
{
    static const char *const names[] = {"op-1.0.tar.gz", "op-1.0.tar.bz2", "op-1.0.tar.xz",
                                        "op-1.0.zip"};
    make_packages();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_OK(unpack_within(names[i], &roomy));
        CHECK(is_file_in(target, "op-1.0/op/__init__.py"));
        CHECK(is_file_in(target, "op-1.0/op/task.py"));
        CHECK(is_file_in(target, "op-1.0/setup.py"));
        check_remove_dir(strdup(target));
    }
    CHECK_OK(unpack_within("op-1.0-py3-none-any.whl", &roomy));
    CHECK(is_file_in(target, "op-1.0.dist-info/METADATA"));
}

/* task.py was 04755 in the archive. */
TEST(unpack__takes_no_special_bits)
{
    struct stat info;
    make_packages();
    CHECK_OK(unpack_within("op-1.0.tar.gz", &roomy));
    assert_int_equal(stat(path_in(target, "op-1.0/op/task.py"), &info), 0);
    CHECK_EQ(info.st_mode & 07000, 0);
    CHECK((info.st_mode & 0100) != 0);
    assert_int_equal(stat(path_in(target, "op-1.0/setup.py"), &info), 0);
    CHECK((info.st_mode & 0111) == 0);
}

TEST(unpack__keeps_links_that_stay_inside)
{
    char link[64] = "";
    struct stat one, other;
    make_packages();
    CHECK_OK(unpack_within("links-1.0.tar.gz", &roomy));
    CHECK(readlink(path_in(target, "op-1.0/op/same.py"), link, sizeof link - 1) == 7);
    CHECK_STR(link, "task.py");
    CHECK(is_file_in(target, "op-1.0/op/up.py"));
    assert_int_equal(stat(path_in(target, "op-1.0/op/twin.py"), &one), 0);
    assert_int_equal(stat(path_in(target, "op-1.0/op/task.py"), &other), 0);
    CHECK_EQ(one.st_ino, other.st_ino);
    check_text("op-1.0/op/twice.py", "second = 2"); /* the later one, as tar does it */
}

TEST(unpack__refuses_hostile_archives)
{
    static const struct {
        const char *name, *says;
    } hostile[] = {
        {"absolute.tar.gz", "/tmp/graft-absolute: an absolute name"},
        {"dotdot.tar.gz", "op/../../escaped: \"..\" in a name"},
        {"only-dotdot.tar.gz", "..\" in a name"},
        {"zip-dotdot.zip", "../escaped: \"..\" in a name"},
        {"link-absolute.tar.gz", "op/link: a link to something outside"},
        {"link-out.tar.gz", "op/link: a link to something outside"},
        {"link-turns.tar.gz", "op/link: a link to something outside"},
        {"zip-link.zip", "op/link: a link to something outside"},
        {"link-then-file.tar.gz", "op/file: lies below something that is no folder"},
        {"link-folder-out.tar.gz", "op/a/a/escaped: lies below something that is no folder"},
        {"twin-out.tar.gz", "\"..\" in a name"},
        {"twin-of-nothing.tar.gz", "op/twin: a second name of a file that is not in the package"},
        {"twin-of-link.tar.gz", "op/twin: a second name of a file that is not in the package"},
        {"device.tar.gz", "op/null: neither a file nor a folder"},
        {"block.tar.gz", "op/disk: neither a file nor a folder"},
        {"pipe.tar.gz", "op/pipe: neither a file nor a folder"},
        {"file-and-folder.tar.gz", "op/file: lies below something that is no folder"},
        {"folder-and-file.tar.gz", "op: a file and a folder of one name"},
        {"long.tar.gz", "too long or too deep"},
        {"deep.tar.gz", "too long or too deep"},
        {"nothing.tar.gz", "nothing is in it"},
        {"truncated.tar.gz", "the archive cannot be read"},
        {"text.tar.gz", "the archive cannot be read"},
    };
    make_packages();
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        CHECK_FAILS(GF_EFORMAT, hostile[i].says, unpack_within(hostile[i].name, &roomy));
        CHECK(strstr(check_err.message, hostile[i].name) != NULL);
        CHECK(!is_file_in(root, "escaped"));
        CHECK(!gf__is_file("/tmp/graft-absolute"));
        check_remove_dir(strdup(target));
    }
    CHECK_FAILS(GF_EFORMAT, "cannot be read", unpack_within("empty.tar.gz", &roomy));
    CHECK_FAILS(GF_EFORMAT, "missing.tar.gz", unpack_within("missing.tar.gz", &roomy));
}

TEST(unpack__stops_at_its_limits)
{
    make_packages();
    CHECK_OK(unpack_within("bomb.tar.gz", &(gf__archive_limits){1, 1000000}));
    CHECK_FAILS(GF_ELIMIT, "more than 999999 bytes unpacked",
                unpack_within("bomb.tar.gz", &(gf__archive_limits){1, 999999}));
    CHECK_OK(unpack_within("many.tar.gz", &(gf__archive_limits){100, 1000}));
    CHECK_FAILS(GF_ELIMIT, "more than 99 files and folders",
                unpack_within("many.tar.gz", &(gf__archive_limits){99, 1000}));
}

TEST(unpack__survives_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    make_packages();
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = unpack_within("op-1.0.tar.gz", &roomy);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM);
    }
}

/* ---- requirements ---- */

static void write_in(const char *dir, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s", path_in(dir, name));
    *strrchr(path, '/') = '\0';
    CHECK_OK(gf__make_dirs(path, &check_err));
    CHECK_OK(gf__write_file(path_in(dir, name), text, strlen(text), &check_err));
}

/* Those of ROOT/package, each followed by a ';'. */
static void check_requirements(const char *metadata, const char *expected)
{
    char dir[1024];
    gf__texts found = {0};
    gf__buffer text = {0};
    snprintf(dir, sizeof dir, "%s", path_in(root, "package"));
    char *file = gf__path_join(dir, metadata != NULL ? metadata : "");
    const gf__unpacked package = {
        .uri = "p", .dir = dir, .root = dir, .metadata = metadata != NULL ? file : NULL};
    CHECK_OK(gf__requirements_find(NULL, &package, &found, &check_err));
    for (size_t i = 0; i < found.n; i++)
        gf__buffer_printf(&text, "%s;", found.items[i]);
    CHECK_STR(text.data != NULL ? text.data : "", expected);
    gf__buffer_free(&text);
    gf__texts_free(&found);
    gf__free(file);
    check_remove_dir(strdup(dir));
}

static void put(const char *name, const char *text)
{
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", path_in(root, "package"));
    write_in(dir, name, text);
}

TEST(requirements__of_a_wheel_are_in_its_metadata)
{
    put("a-1.dist-info/METADATA",
        "Metadata-Version: 2.1\r\nName: a\r\nRequires-Dist: numpy (>=1.20)\r\n"
        "requires-dist: pytest ; extra == 'tests'\r\n\r\nRequires-Dist: no\r\n");
    check_requirements("a-1.dist-info/METADATA", "numpy (>=1.20);pytest ; extra == 'tests';");
}

TEST(requirements__of_an_sdist_are_in_its_egg_info)
{
    put("setup.py", "install_requires=['never asked']");
    put("a.egg-info/requires.txt",
        "numpy>=1.20\nscipy\n\n[:python_version < \"3\"]\nold\n\n[docs]\nsphinx\n"
        "[docs:os_name == 'nt']\nwin\n");
    check_requirements(NULL, "numpy>=1.20;scipy;old ; python_version < \"3\";");
    put("src/a.egg-info/requires.txt", "numpy\n");
    put("setup.py", "install_requires=['never asked']");
    check_requirements(NULL, "numpy;");
    put("a.egg-info/PKG-INFO", "Metadata-Version: 1.0\n"); /* none, and so it says nothing */
    put("setup.py", "install_requires=[]");
    check_requirements(NULL, "");
}

TEST(requirements__of_an_sdist_may_be_in_its_pkg_info)
{
    put("pyproject.toml", "dependencies = []");
    put("PKG-INFO", "Metadata-Version: 2.1\nRequires-Dist: numpy\n\n");
    check_requirements(NULL, "numpy;");
    put("pyproject.toml", "dependencies = []");
    put("PKG-INFO", "Metadata-Version: 2.2\nName: a\n");
    check_requirements(NULL, "");
    put("setup.py", "setup(name='a')"); /* says nothing of requirements: nobody is asked */
    put("PKG-INFO", "Metadata-Version: 1.0\nName: a\n");
    check_requirements(NULL, "");
}

TEST(requirements__survive_every_allocation_failure)
{
    char dir[1024];
    gf_status st = GF_ENOMEM;
    snprintf(dir, sizeof dir, "%s", path_in(root, "package"));
    const gf__unpacked package = {.uri = "p", .dir = dir, .root = dir};
    put("a.egg-info/requires.txt", "numpy>=1.20\nscipy\n[:x]\nold\n");
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__texts found = {0};
        gf__mem_fail_after(n);
        st = gf__requirements_find(NULL, &package, &found, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM);
        if (st == GF_OK)
            CHECK_EQ(found.n, 3);
        gf__texts_free(&found);
    }
}

/* ---- jobs ---- */

/* A job with one package and one argument; pip finds what it needs in packages/index and nowhere
 * else. */
static void run_package(const char *name, const char *argument)
{
    char training[2048], index[1024];
    snprintf(training, sizeof training, ",\"packages\":[\"%s\"],\"args\":[\"%s\"]",
             path_in(packages, name), argument);
    write_spec(&(job_spec){"op.task", training, 0, 0});
    snprintf(index, sizeof index, "%s", path_in(packages, "index"));
    setenv("PIP_NO_INDEX", "1", 1);
    setenv("PIP_FIND_LINKS", index, 1);
    CHECK_EQ(run_job(), 0);
}

TEST(job__runs_packages_of_every_kind)
{
    static const char *const names[] = {"op-1.0.tar.gz", "op-1.0.zip", "op-1.0-py3-none-any.whl",
                                        "src-1.0.tar.gz"};
    make_packages();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        run_package(names[i], "succeed");
        check_result("SUCCEEDED", NULL);
        check_log_has("all is well");
        unlink(path_in(job, "result.json"));
    }
}

TEST(job__gets_its_requirements_from_pip)
{
    make_packages();
    run_package("needs-1.0.tar.gz", "import");
    check_result("SUCCEEDED", NULL);
    check_log_has("Installing tinydep>=1.5");
    check_log_has("\"message\": \"tinydep 2.0 ");
    CHECK(is_file_in(job, "site-packages/tinydep.py"));
}

TEST(job__whose_sdist_says_nothing_asks_its_setup)
{
    make_packages();
    run_package("asks-1.0.tar.gz", "import");
    check_result("SUCCEEDED", NULL);
    check_log_has("\"message\": \"tinydep 2.0 ");
}

/* Whose modules are not where an sdist's are, and which need something, too. */
TEST(job__builds_what_pip_would_build)
{
    static const char *const names[] = {"mapped-1.0.tar.gz", "where-1.0.tar.gz",
                                        "own-backend-1.0.tar.gz"};
    make_packages();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        run_package(names[i], "import");
        check_result("SUCCEEDED", NULL);
        check_log_has("\"message\": \"tinydep 2.0 ");
        unlink(path_in(job, "result.json"));
    }
}

TEST(job__builds_nothing_that_can_be_used_as_it_is)
{
    make_packages();
    run_package("op-1.0.tar.gz", "succeed");
    check_result("SUCCEEDED", NULL);
    CHECK(!gf__is_dir(path_in(job, "packages/0.built")));
}

TEST(job__with_bad_packages_says_what_is_bad)
{
    static const struct {
        const char *name, *says;
    } bad[] = {
        {"impossible-1.0.tar.gz",
         "packageUris: pip, installing their requirements, failed with status 1:"},
        {"impossible-1.0.tar.gz", "No matching distribution found for tinydep>=99"},
        {"nonsense-1.0.tar.gz", "'--index-url=http://x' is no requirement"},
        {"raises-1.0.tar.gz", "asking setup.py for its install_requires failed with status 1:\n"
                              "install_requires? never"},
        {"unbuildable-1.0.tar.gz", "packageUris: building the package failed with status 1:\n"
                                   "not today"},
        {"truncated.tar.gz", "packageUris[0]: truncated.tar.gz: the archive cannot be read"},
        {"dotdot.tar.gz", "packageUris[0]: dotdot.tar.gz: op/../../escaped: \"..\" in a name"},
        {"plain.tar.gz", "packageUris[0]: plain.tar.gz: expected an sdist"},
        {"missing.tar.gz", "packageUris[0]: missing.tar.gz: "},
    };
    make_packages();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_package(bad[i].name, "succeed");
        check_result("FAILED", bad[i].says);
        unlink(path_in(job, "result.json"));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_home, close_home)
TESTS_MAIN(CASE(unpack__reads_what_python_packages_come_in), CASE(unpack__takes_no_special_bits),
           CASE(unpack__keeps_links_that_stay_inside), CASE(unpack__refuses_hostile_archives),
           CASE(unpack__stops_at_its_limits), CASE(unpack__survives_every_allocation_failure),
           CASE(requirements__of_a_wheel_are_in_its_metadata),
           CASE(requirements__of_an_sdist_are_in_its_egg_info),
           CASE(requirements__of_an_sdist_may_be_in_its_pkg_info),
           CASE(requirements__survive_every_allocation_failure),
           CASE(job__runs_packages_of_every_kind), CASE(job__gets_its_requirements_from_pip),
           CASE(job__whose_sdist_says_nothing_asks_its_setup),
           CASE(job__builds_what_pip_would_build),
           CASE(job__builds_nothing_that_can_be_used_as_it_is),
           CASE(job__with_bad_packages_says_what_is_bad))
