/* What a program that is started gets of this process. */
#include "check.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

TEST(program__gets_the_variables_that_are_kept_and_those_that_are_added)
{
    static const char *const kept[] = {"GRAFT_TEST_A", "LC_", NULL};
    char *const added[] = {"LC_ALL=C", "GRAFT_TEST_NEW=1", NULL};
    char **environment = NULL;
    setenv("GRAFT_TEST_A", "a", 1);
    setenv("GRAFT_TEST_AB", "ab", 1);
    setenv("GRAFT_TEST_SECRET", "s", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    CHECK_OK(gf__environment_new(kept, added, &environment, &check_err));
    CHECK(gf__environment_has(environment, "GRAFT_TEST_A"));
    CHECK(gf__environment_has(environment, "GRAFT_TEST_AB"));
    CHECK(gf__environment_has(environment, "GRAFT_TEST_NEW"));
    CHECK(!gf__environment_has(environment, "GRAFT_TEST_SECRET"));
    CHECK(!gf__environment_has(environment, "GRAFT_TEST"));
    size_t n_languages = 0;
    for (char **entry = environment; *entry != NULL; entry++) {
        n_languages += strncmp(*entry, "LC_ALL=", 7) == 0;
        CHECK(strcmp(*entry, "LC_ALL=C.UTF-8") != 0);
    }
    CHECK_EQ(n_languages, 1);
    gf__free(environment);
}

TEST(program__has_signals_as_new_and_a_group_of_its_own)
{
    char *argv[] = {"sleep", "60", NULL}, *environment[] = {NULL};
    posix_spawnattr_t attributes;
    sigset_t term, before;
    pid_t pid = 0;
    int status = 0;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    gf__spawn_attributes(&attributes);
    CHECK_EQ(posix_spawn(&pid, "/bin/sleep", NULL, &attributes, argv, environment), 0);
    posix_spawnattr_destroy(&attributes);
    sigprocmask(SIG_SETMASK, &before, NULL);
    CHECK_EQ(getpgid(pid), pid);
    CHECK_EQ(kill(-pid, SIGTERM), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TESTS_MAIN(UNIT(program__gets_the_variables_that_are_kept_and_those_that_are_added),
           UNIT(program__has_signals_as_new_and_a_group_of_its_own))
